//! The nine tables, as the template describes them.
//!
//! Every table has the keys `pk` and `sk`, both strings, and is on demand. A
//! global index `x` has the keys `xpk` and `xsk` and carries whole items.
//!
//! | table | global indexes | more |
//! |---|---|---|
//! | Core | `gsi1`, `gsi2` | |
//! | Work | `gsi1`, `gsi2`, `due` | |
//! | Log | | stream of new images |
//! | Metrics | | |
//! | Knowledge | | vector indexes [`VECTOR_INDEXES`] |
//! | Audit | | |
//! | Ledger | | |
//! | Vault | | |
//! | Ephemeral | | items expire at [`EXPIRY_ATTRIBUTE`] |
//!
//! # The vector indexes
//!
//! Each holds vectors of one length under an attribute of its own, as numbers of
//! 32 bits, by cosine, with `org` as its partition (`HASH`) and `knowledge_base`
//! as an `INLINE_FILTER`. `SearchVectors` answers it:
//!
//! - `search_vector` is a list of `N` values as long as the index has
//!   dimensions; `top_k` is 1 to 100; there are no pages.
//! - `search_condition_expression` must compare `org` and may compare
//!   `knowledge_base`, each once, with `=` and joined by `AND`. Nothing else is
//!   accepted, so several knowledge bases are several searches.
//! - `score` is the cosine distance: 0 for the same direction, 1 for a right
//!   angle or a zero vector, 2 for the opposite. Results come nearest first;
//!   similarity is `1 - score`.
//! - An item comes back without its vector unless `projection_expression`
//!   names it.
//! - An item without a vector or without `org` is stored and not indexed; one
//!   whose vector has another length is refused as a whole.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::{
    CreateGlobalSecondaryIndexAction, GlobalSecondaryIndexUpdate, KeySchemaElement,
    StreamSpecification, TableDescription, TimeToLiveSpecification, TimeToLiveStatus,
    VectorIndexUpdate,
};

use crate::definition::{
    Shape, create_table, create_vector_index, fits_vector_indexes, index_keys, keys,
    missing_vector_indexes, new_images, shapes, text, whole_items,
};
use crate::error::Error;

/// A vector index, the attribute that it reads and the length of its vectors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VectorIndexName {
    pub index: &'static str,
    pub attribute: &'static str,
    pub dimensions: i64,
}

/// Knowledge's vector indexes.
pub const VECTOR_INDEXES: [VectorIndexName; 3] = [
    VectorIndexName {
        index: "chunks",
        attribute: "embedding",
        dimensions: 256,
    },
    VectorIndexName {
        index: "chunks-384",
        attribute: "embedding_384",
        dimensions: 384,
    },
    VectorIndexName {
        index: "chunks-1024",
        attribute: "embedding_1024",
        dimensions: 1024,
    },
];
/// Ephemeral's attribute of seconds since 1970 after which an item is void.
pub const EXPIRY_ATTRIBUTE: &str = "expires_at";

/// What each table is called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TableNames {
    pub core: String,
    pub work: String,
    pub log: String,
    pub metrics: String,
    pub knowledge: String,
    pub audit: String,
    pub ledger: String,
    pub vault: String,
    pub ephemeral: String,
}

impl TableNames {
    /// `<prefix>-core`, `<prefix>-work` and so on.
    pub fn prefixed(prefix: &str) -> Self {
        let name = |table: &str| format!("{prefix}-{table}");
        Self {
            core: name("core"),
            work: name("work"),
            log: name("log"),
            metrics: name("metrics"),
            knowledge: name("knowledge"),
            audit: name("audit"),
            ledger: name("ledger"),
            vault: name("vault"),
            ephemeral: name("ephemeral"),
        }
    }
}

impl Default for TableNames {
    fn default() -> Self {
        Self::prefixed("overglass")
    }
}

/// Makes the tables that are missing, and adds the indexes and streams that an
/// older data folder lacks.
///
/// # Errors
///
/// [`Error::TableMismatch`] when a table is there with other keys or another
/// vector index; [`Error::Call`] when DynamoDB refuses or does not answer.
pub async fn create_tables(client: &Client, names: &TableNames) -> Result<(), Error> {
    for (table, shape) in shapes(names) {
        match describe(client, table).await? {
            None => create(client, table, &shape).await?,
            Some(description) => complete(client, table, &shape, &description).await?,
        }
        if shape.expiry {
            expire(client, table).await?;
        }
    }
    Ok(())
}

async fn describe(client: &Client, table: &str) -> Result<Option<TableDescription>, Error> {
    match client.describe_table().table_name(table).send().await {
        Ok(described) => Ok(described.table),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(DescribeTableError::is_resource_not_found_exception) =>
        {
            Ok(None)
        }
        Err(error) => Err(Error::call("DescribeTable", table, error)),
    }
}

async fn create(client: &Client, table: &str, shape: &Shape) -> Result<(), Error> {
    create_table(client, table, shape)
        .map_err(|error| Error::call("CreateTable", table, error))?
        .send()
        .await
        .map(drop)
        .map_err(|error| Error::call("CreateTable", table, error))
}

/// Brings a table of an older data folder up to date.
async fn complete(
    client: &Client,
    table: &str,
    shape: &Shape,
    description: &TableDescription,
) -> Result<(), Error> {
    let mismatch = |difference: &str| Error::TableMismatch {
        table: table.to_owned(),
        difference: difference.to_owned(),
    };
    let keys: Vec<&str> = description
        .key_schema()
        .iter()
        .map(KeySchemaElement::attribute_name)
        .collect();
    if keys != ["pk", "sk"] {
        return Err(mismatch("its keys are not pk and sk"));
    }
    if shape.vectors {
        if !fits_vector_indexes(description) {
            return Err(mismatch(
                "a vector index has other attributes or dimensions",
            ));
        }
        for name in missing_vector_indexes(description) {
            add_vector_index(client, table, &name).await?;
        }
    }
    let present: BTreeSet<&str> = description
        .global_secondary_indexes()
        .iter()
        .filter_map(|index| index.index_name())
        .collect();
    for index in shape.indexes {
        if !present.contains(index) {
            add_index(client, table, index).await?;
        }
    }
    let streams = description
        .stream_specification()
        .is_some_and(StreamSpecification::stream_enabled);
    if shape.stream && !streams {
        let stream = new_images().map_err(|error| Error::call("UpdateTable", table, error))?;
        client
            .update_table()
            .table_name(table)
            .stream_specification(stream)
            .send()
            .await
            .map_err(|error| Error::call("UpdateTable", table, error))?;
    }
    Ok(())
}

async fn add_index(client: &Client, table: &str, index: &str) -> Result<(), Error> {
    let (partition, sort) = index_keys(index);
    let action = || {
        CreateGlobalSecondaryIndexAction::builder()
            .index_name(index)
            .set_key_schema(Some(keys(&partition, &sort)?))
            .projection(whole_items())
            .build()
    };
    let failed = |error: BuildError| Error::call("UpdateTable", table, error);
    client
        .update_table()
        .table_name(table)
        .attribute_definitions(text(&partition).map_err(failed)?)
        .attribute_definitions(text(&sort).map_err(failed)?)
        .global_secondary_index_updates(
            GlobalSecondaryIndexUpdate::builder()
                .create(action().map_err(failed)?)
                .build(),
        )
        .send()
        .await
        .map(drop)
        .map_err(|error| Error::call("UpdateTable", table, error))
}

async fn add_vector_index(
    client: &Client,
    table: &str,
    name: &VectorIndexName,
) -> Result<(), Error> {
    let failed = |error: BuildError| Error::call("UpdateTable", table, error);
    client
        .update_table()
        .table_name(table)
        .attribute_definitions(text("org").map_err(failed)?)
        .attribute_definitions(text("knowledge_base").map_err(failed)?)
        .vector_index_updates(
            VectorIndexUpdate::builder()
                .create(create_vector_index(name).map_err(failed)?)
                .build(),
        )
        .send()
        .await
        .map(drop)
        .map_err(|error| Error::call("UpdateTable", table, error))
}

async fn expire(client: &Client, table: &str) -> Result<(), Error> {
    let described = client
        .describe_time_to_live()
        .table_name(table)
        .send()
        .await
        .map_err(|error| Error::call("DescribeTimeToLive", table, error))?;
    let enabled = described
        .time_to_live_description
        .is_some_and(|ttl| ttl.time_to_live_status == Some(TimeToLiveStatus::Enabled));
    if enabled {
        // Asking twice is an error.
        return Ok(());
    }
    let specification = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name(EXPIRY_ATTRIBUTE)
        .build()
        .map_err(|error| Error::call("UpdateTimeToLive", table, error))?;
    client
        .update_time_to_live()
        .table_name(table)
        .time_to_live_specification(specification)
        .send()
        .await
        .map(drop)
        .map_err(|error| Error::call("UpdateTimeToLive", table, error))
}

//! What each table looks like, in the words of DynamoDB.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, SearchSchemaElement, SearchSchemaElementType,
    StreamSpecification, StreamViewType, TableDescription, VectorAttributeDefinition,
    VectorDistanceFunction, VectorIndex,
};

use crate::tables::{TableNames, VECTOR_DIMENSIONS, VECTOR_INDEX};

const VECTOR_ATTRIBUTE: &str = "embedding";
const VECTOR_PARTITION: &str = "org";
const VECTOR_FILTER: &str = "knowledge_base";

/// What a table has beyond its keys.
#[derive(Default)]
pub(crate) struct Shape {
    pub(crate) indexes: &'static [&'static str],
    pub(crate) stream: bool,
    pub(crate) vectors: bool,
    pub(crate) expiry: bool,
}

/// The nine tables.
pub(crate) fn shapes(names: &TableNames) -> [(&str, Shape); 9] {
    let plain = Shape::default;
    [
        (
            &names.core,
            Shape {
                indexes: &["gsi1", "gsi2"],
                ..plain()
            },
        ),
        (
            &names.work,
            Shape {
                indexes: &["gsi1", "gsi2", "due"],
                ..plain()
            },
        ),
        (
            &names.log,
            Shape {
                stream: true,
                ..plain()
            },
        ),
        (&names.metrics, plain()),
        (
            &names.knowledge,
            Shape {
                vectors: true,
                ..plain()
            },
        ),
        (&names.audit, plain()),
        (&names.ledger, plain()),
        (&names.vault, plain()),
        (
            &names.ephemeral,
            Shape {
                expiry: true,
                ..plain()
            },
        ),
    ]
}

/// The request that makes a table.
pub(crate) fn create_table(
    client: &Client,
    table: &str,
    shape: &Shape,
) -> Result<CreateTableFluentBuilder, BuildError> {
    let mut table = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(text("pk")?)
        .attribute_definitions(text("sk")?)
        .set_key_schema(Some(keys("pk", "sk")?));
    for index in shape.indexes {
        let (partition, sort) = index_keys(index);
        table = table
            .attribute_definitions(text(&partition)?)
            .attribute_definitions(text(&sort)?)
            .global_secondary_indexes(
                GlobalSecondaryIndex::builder()
                    .index_name(*index)
                    .set_key_schema(Some(keys(&partition, &sort)?))
                    .projection(whole_items())
                    .build()?,
            );
    }
    if shape.stream {
        table = table.stream_specification(new_images()?);
    }
    if shape.vectors {
        // The attributes of the search schema are declared like keys; the
        // vector itself must not be.
        table = table
            .attribute_definitions(text(VECTOR_PARTITION)?)
            .attribute_definitions(text(VECTOR_FILTER)?)
            .vector_indexes(vector_index()?);
    }
    Ok(table)
}

/// Whether a table has the vector index that this version searches.
pub(crate) fn has_vector_index(description: &TableDescription) -> bool {
    description.vector_indexes().iter().any(|index| {
        let attribute = index
            .vector_attribute()
            .map(|vector| vector.attribute_name());
        let schema: Vec<&str> = index
            .search_schema()
            .iter()
            .map(SearchSchemaElement::attribute_name)
            .collect();
        index.index_name() == Some(VECTOR_INDEX)
            && attribute == Some(VECTOR_ATTRIBUTE)
            && index.dimensions() == Some(VECTOR_DIMENSIONS)
            && index.distance_function() == Some(&VectorDistanceFunction::Cosine)
            && schema == [VECTOR_PARTITION, VECTOR_FILTER]
    })
}

/// The key attributes of a global index.
pub(crate) fn index_keys(index: &str) -> (String, String) {
    (format!("{index}pk"), format!("{index}sk"))
}

pub(crate) fn text(attribute: &str) -> Result<AttributeDefinition, BuildError> {
    AttributeDefinition::builder()
        .attribute_name(attribute)
        .attribute_type(ScalarAttributeType::S)
        .build()
}

pub(crate) fn keys(partition: &str, sort: &str) -> Result<Vec<KeySchemaElement>, BuildError> {
    let key = |attribute: &str, key_type| {
        KeySchemaElement::builder()
            .attribute_name(attribute)
            .key_type(key_type)
            .build()
    };
    Ok(vec![
        key(partition, KeyType::Hash)?,
        key(sort, KeyType::Range)?,
    ])
}

pub(crate) fn whole_items() -> Projection {
    Projection::builder()
        .projection_type(ProjectionType::All)
        .build()
}

pub(crate) fn new_images() -> Result<StreamSpecification, BuildError> {
    StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewImage)
        .build()
}

fn vector_index() -> Result<VectorIndex, BuildError> {
    let element = |attribute: &str, role| {
        SearchSchemaElement::builder()
            .attribute_name(attribute)
            .search_schema_element_type(role)
            .build()
    };
    VectorIndex::builder()
        .index_name(VECTOR_INDEX)
        .vector_attribute(
            VectorAttributeDefinition::builder()
                .attribute_name(VECTOR_ATTRIBUTE)
                .build()?,
        )
        .dimensions(VECTOR_DIMENSIONS)
        .distance_function(VectorDistanceFunction::Cosine)
        .search_schema(element(VECTOR_PARTITION, SearchSchemaElementType::Hash)?)
        .search_schema(element(
            VECTOR_FILTER,
            SearchSchemaElementType::InlineFilter,
        )?)
        .projection(whole_items())
        .build()
}

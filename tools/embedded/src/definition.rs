//! What each table looks like, in the words of DynamoDB.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, CreateVectorIndexAction, GlobalSecondaryIndex,
    KeySchemaElement, KeyType, Projection, ProjectionType, ScalarAttributeType,
    SearchSchemaElement, SearchSchemaElementType, StreamSpecification, StreamViewType,
    TableDescription, VectorAttributeDefinition, VectorDistanceFunction, VectorIndex,
};

use crate::tables::{TableNames, VECTOR_INDEXES, VectorIndexName};

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
            .set_vector_indexes(Some(vector_indexes()?));
    }
    Ok(table)
}

/// The vector indexes that a table lacks.
pub(crate) fn missing_vector_indexes(description: &TableDescription) -> Vec<VectorIndexName> {
    let is_there = |name: &VectorIndexName| {
        let indexes = description.vector_indexes().iter();
        indexes
            .clone()
            .any(|index| index.index_name() == Some(name.index))
    };
    VECTOR_INDEXES
        .into_iter()
        .filter(|name| !is_there(name))
        .collect()
}

/// Whether the vector indexes that a table has are as this version searches them.
pub(crate) fn fits_vector_indexes(description: &TableDescription) -> bool {
    description.vector_indexes().iter().all(|index| {
        let attribute = index
            .vector_attribute()
            .map(|vector| vector.attribute_name());
        let schema: Vec<&str> = index
            .search_schema()
            .iter()
            .map(SearchSchemaElement::attribute_name)
            .collect();
        VECTOR_INDEXES.iter().any(|name| {
            index.index_name() == Some(name.index)
                && attribute == Some(name.attribute)
                && index.dimensions() == Some(name.dimensions)
                && index.distance_function() == Some(&VectorDistanceFunction::Cosine)
                && schema == [VECTOR_PARTITION, VECTOR_FILTER]
        })
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

fn vector_indexes() -> Result<Vec<VectorIndex>, BuildError> {
    VECTOR_INDEXES
        .iter()
        .map(|name| {
            VectorIndex::builder()
                .index_name(name.index)
                .vector_attribute(vector_attribute(name)?)
                .dimensions(name.dimensions)
                .distance_function(VectorDistanceFunction::Cosine)
                .set_search_schema(Some(search_schema()?))
                .projection(whole_items())
                .build()
        })
        .collect()
}

/// The request for one more vector index.
pub(crate) fn create_vector_index(
    name: &VectorIndexName,
) -> Result<CreateVectorIndexAction, BuildError> {
    CreateVectorIndexAction::builder()
        .index_name(name.index)
        .vector_attribute(vector_attribute(name)?)
        .dimensions(name.dimensions)
        .distance_function(VectorDistanceFunction::Cosine)
        .set_search_schema(Some(search_schema()?))
        .projection(whole_items())
        .build()
}

fn vector_attribute(name: &VectorIndexName) -> Result<VectorAttributeDefinition, BuildError> {
    VectorAttributeDefinition::builder()
        .attribute_name(name.attribute)
        .build()
}

fn search_schema() -> Result<Vec<SearchSchemaElement>, BuildError> {
    let element = |attribute: &str, role| {
        SearchSchemaElement::builder()
            .attribute_name(attribute)
            .search_schema_element_type(role)
            .build()
    };
    Ok(vec![
        element(VECTOR_PARTITION, SearchSchemaElementType::Hash)?,
        element(VECTOR_FILTER, SearchSchemaElementType::InlineFilter)?,
    ])
}

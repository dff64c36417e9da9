//! The embedding models that a knowledge base can have.

use api::Problem;
use embedding::Embedders;

/// The id of the model that somebody asks for: one that is configured here.
pub(crate) fn configured(embedders: &Embedders, asked: &str) -> Result<String, Problem> {
    match embedders.get(asked) {
        Some(embedder) => Ok(embedder.model().to_string()),
        None => {
            let known: Vec<&str> = embedders.ids().collect();
            Err(Problem::invalid_field(
                "/embedding_model",
                format!("is not configured here; there is {}", known.join(", ")),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_not_configured_is_refused_with_those_that_are() {
        let embedders = Embedders::default();
        assert_eq!(
            configured(&embedders, "static-en-256@1").expect("configured"),
            "static-en-256@1"
        );
        let problem = configured(&embedders, "static-en-256@2").expect_err("another version");
        assert_eq!(problem.status().as_u16(), 422);
        assert!(
            format!("{problem:?}").contains("there is static-en-256@1"),
            "{problem:?}"
        );
    }
}

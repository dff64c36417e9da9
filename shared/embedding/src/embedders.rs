//! The models that this process can embed with.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Embedder, StaticModel};

/// The models at hand, by id, and the one for whoever names none. Clones share everything.
#[derive(Clone)]
pub struct Embedders {
    default: Arc<dyn Embedder>,
    by_id: Arc<BTreeMap<String, Arc<dyn Embedder>>>,
}

impl std::fmt::Debug for Embedders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl Embedders {
    /// These models, of which the first is the default. The static model is always among them,
    /// and alone if no other is given.
    #[must_use]
    pub fn new(models: Vec<Arc<dyn Embedder>>) -> Self {
        let built_in: Arc<dyn Embedder> = Arc::new(StaticModel);
        let default = models.first().unwrap_or(&built_in);
        let default = Arc::clone(default);
        let by_id = std::iter::once(built_in)
            .chain(models)
            .map(|model| (model.model().to_string(), model))
            .collect();
        Self {
            default,
            by_id: Arc::new(by_id),
        }
    }

    /// The model that a new knowledge base gets, unless another is asked for.
    #[must_use]
    pub fn default_model(&self) -> &Arc<dyn Embedder> {
        &self.default
    }

    /// The model with this id, written `name@version`.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<dyn Embedder>> {
        self.by_id.get(id)
    }

    /// The ids of the models at hand, in their order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.by_id.keys().map(String::as_str)
    }
}

/// The static model alone.
impl Default for Embedders {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_static_model_is_always_at_hand() {
        let embedders = Embedders::default();
        assert_eq!(embedders.ids().collect::<Vec<_>>(), ["static-en-256@1"]);
        assert_eq!(
            embedders.default_model().model().to_string(),
            "static-en-256@1"
        );
        assert!(embedders.get("static-en-256@1").is_some());
        assert!(embedders.get("static-en-256@2").is_none());
    }
}

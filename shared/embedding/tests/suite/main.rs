//! The static model through its public interface.

mod integrity;
mod properties;
mod retrieval;

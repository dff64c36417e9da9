//! The store over the embedded DynamoDB.
//!
//! | module | holds |
//! |---|---|
//! | [`admission`] | who may run, and whose turn it is |
//! | [`budgets`] | budgets and their ledgers |
//! | [`support`] | a store of its own for each test |
//! | [`proxy`] | a DynamoDB that conflicts as AWS does, and loses replies |

mod admission;
mod budgets;
mod proxy;
mod support;

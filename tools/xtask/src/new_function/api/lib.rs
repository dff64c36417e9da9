//! Sample: say here what this function is for.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/sample` | any member | `show.rs` |

use api::{Table, routes};

mod show;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new().routes(routes!(show::show))
}

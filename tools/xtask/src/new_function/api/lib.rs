//! Sample: say here what this function is for.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/sample` | any member | `show.rs` |

use api::Routes;
use utoipa_axum::routes;

mod show;

/// The operations of this function.
#[must_use]
pub fn routes() -> Routes {
    Routes::new().routes(routes!(show::show))
}

//! The table of a function's operations: each line names handlers, and says with that how they are
//! served and how they are documented.
//!
//! A table is written once and read twice: as [`Routes`] by hosts, as [`Documentation`] by what
//! writes `openapi.json`. Which of the two is made is the choice of the caller's type, so that a
//! function that serves requests holds nothing of the schemas that describe them: neither in its
//! program nor in its start.

use axum::handler::Handler;
use axum::routing::on;
use axum::{Extension, Router};
use utoipa::openapi::OpenApi;
use utoipa_axum::PathItemExt as _;
use utoipa_axum::router::OpenApiRouter;

use crate::App;

/// What a table of operations is read as.
pub trait Table: Sized {
    /// A table without a line.
    #[must_use]
    fn new() -> Self;

    /// Adds the operations of [`routes!`](crate::routes!).
    #[must_use]
    fn routes<S, D>(self, line: Line<S, D>) -> Self
    where
        S: FnOnce(Router<App>) -> Router<App>,
        D: FnOnce(OpenApiRouter<App>) -> OpenApiRouter<App>;

    /// Adds pages for people, which no document describes.
    #[must_use]
    fn pages(self, pages: Router<App>) -> Self;

    /// Adds the lines of another table.
    #[must_use]
    fn merge(self, other: Self) -> Self;
}

/// One line of a table, made by [`routes!`](crate::routes!).
pub struct Line<S, D> {
    serve: S,
    document: D,
}

impl<S, D> Line<S, D>
where
    S: FnOnce(Router<App>) -> Router<App>,
    D: FnOnce(OpenApiRouter<App>) -> OpenApiRouter<App>,
{
    /// A line that is read by either of these.
    #[doc(hidden)]
    pub fn new(serve: S, document: D) -> Self {
        Self { serve, document }
    }
}

/// A function's operations as they are served.
#[derive(Debug, Clone, Default)]
pub struct Routes(Router<App>);

impl Routes {
    /// The same, with something that their handlers take as `Extension<T>`, for what only the
    /// function knows.
    #[must_use]
    pub fn with<T: Clone + Send + Sync + 'static>(self, shared: T) -> Self {
        Self(self.0.layer(Extension(shared)))
    }

    /// What serves them.
    pub fn into_router(self) -> Router<App> {
        self.0
    }
}

impl Table for Routes {
    fn new() -> Self {
        Self::default()
    }

    fn routes<S, D>(self, line: Line<S, D>) -> Self
    where
        S: FnOnce(Router<App>) -> Router<App>,
    {
        Self((line.serve)(self.0))
    }

    fn pages(self, pages: Router<App>) -> Self {
        Self(self.0.merge(pages))
    }

    fn merge(self, other: Self) -> Self {
        Self(self.0.merge(other.0))
    }
}

/// A function's operations as the OpenAPI document describes them.
#[derive(Clone, Default)]
pub struct Documentation(OpenApiRouter<App>);

impl Documentation {
    /// The document: paths, and the schemas that they name.
    #[must_use]
    pub fn into_openapi(self) -> OpenApi {
        self.0.into_openapi()
    }
}

impl Table for Documentation {
    fn new() -> Self {
        Self::default()
    }

    fn routes<S, D>(self, line: Line<S, D>) -> Self
    where
        D: FnOnce(OpenApiRouter<App>) -> OpenApiRouter<App>,
    {
        Self((line.document)(self.0))
    }

    fn pages(self, _: Router<App>) -> Self {
        self
    }

    fn merge(self, other: Self) -> Self {
        Self(self.0.merge(other.0))
    }
}

/// A line of a [`Table`](crate::Table): handlers with `#[utoipa::path]`, each under the method and
/// path that it names there.
#[macro_export]
macro_rules! routes {
    ($($($name:ident)::+),+ $(,)?) => {
        $crate::Line::new(
            |router| {
                $(let router = $crate::routes!(@serve router, $($name)::+, [] $($name)::+);)+
                router
            },
            |documented| documented.routes($crate::macros::routes!($($($name)::+),+)),
        )
    };
    // The documentation of `a::b` is said by the type `a::__path_b`.
    (@serve $router:ident, $handler:path, [$($module:ident)*] $name:ident) => {
        $crate::macros::paste! {
            $crate::macros::serve::<$($module::)*[<__path_ $name>], _, _>($router, $handler)
        }
    };
    (@serve $router:ident, $handler:path, [$($module:ident)*] $next:ident :: $($rest:tt)+) => {
        $crate::routes!(@serve $router, $handler, [$($module)* $next] $($rest)+)
    };
}

/// What [`routes!`](crate::routes!) is written with.
#[doc(hidden)]
pub mod macros {
    pub use utoipa_axum::{paste, routes};

    pub use super::serve;
}

/// Serves a handler as `P` says.
#[doc(hidden)]
pub fn serve<P, H, T>(router: Router<App>, handler: H) -> Router<App>
where
    P: utoipa::Path,
    H: Handler<T, App>,
    T: 'static,
{
    let path = P::path();
    P::methods().iter().fold(router, |router, method| {
        router.route(&path, on(method.to_method_filter(), handler.clone()))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{Method, Request, StatusCode};
    use kernel::SystemClock;
    use store::clients::{Clients, LocalEndpoints};
    use store::{Store, StoreConfig};
    use tower::ServiceExt as _;

    use super::*;
    use crate::ApiConfig;

    /// A state whose stores nobody reaches.
    fn nowhere() -> App {
        let nowhere = || "http://127.0.0.1:9".to_owned();
        let clients = Clients::local(&LocalEndpoints {
            dynamo: nowhere(),
            s3: nowhere(),
            sqs: nowhere(),
            region: "local".to_owned(),
            access_key_id: "nobody".to_owned(),
            secret_access_key: "nothing".to_owned(),
        });
        let store = Store::new(clients, StoreConfig::default(), Arc::new(SystemClock));
        App::new(store, ApiConfig::without_callers())
    }

    mod things {
        pub(super) mod read {
            #[utoipa::path(get, path = "/things/{id}", operation_id = "get_thing")]
            pub(crate) async fn get() -> &'static str {
                "got"
            }
        }

        #[utoipa::path(
            method(put, patch),
            path = "/things/{id}",
            operation_id = "change_thing"
        )]
        pub(super) async fn change() -> &'static str {
            "changed"
        }
    }

    fn table<T: Table>() -> T {
        let pages = Router::new().route("/page", axum::routing::get(async || "a page"));
        T::new()
            .routes(routes!(things::read::get, things::change))
            .pages(pages)
    }

    #[tokio::test]
    async fn what_is_documented_is_served_under_the_same_path_and_method() {
        let router = table::<Routes>().into_router();
        let answer = async |method: Method, path: &str| {
            let request = Request::builder().method(method).uri(path);
            let request = request.body(axum::body::Body::empty()).unwrap();
            let service = router.clone().with_state(nowhere());
            service.oneshot(request).await.unwrap().status()
        };
        for method in [Method::GET, Method::PUT, Method::PATCH] {
            assert_eq!(answer(method, "/things/1").await, StatusCode::OK);
        }
        assert_eq!(
            answer(Method::POST, "/things/1").await,
            StatusCode::METHOD_NOT_ALLOWED
        );
        assert_eq!(answer(Method::GET, "/page").await, StatusCode::OK);

        let document = serde_json::to_value(table::<Documentation>().into_openapi()).unwrap();
        let methods = document["paths"]["/things/{id}"].as_object().unwrap();
        assert_eq!(methods.keys().collect::<Vec<_>>(), ["get", "patch", "put"]);
        assert_eq!(document["paths"].as_object().unwrap().len(), 1);
    }
}

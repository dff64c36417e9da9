//! The extractor is the permission: a handler that holds a resource may have it.

use std::marker::PhantomData;
use std::ops::Deref;
use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use domain::permission::Permission;
use domain::viewer::Viewer;
use http::request::Parts;
use store::{ReadError, Store, Tenant};

use crate::app::App;
use crate::caller::Caller;
use crate::problem::Problem;

/// Something of an org that a path names by its id.
pub trait Resource: Sized + Send {
    /// Its id.
    type Id: FromStr + Send;
    /// The path parameter that holds the id.
    const PARAM: &'static str;
    /// What it is called in a problem.
    const NOUN: &'static str;
    /// The permission to see it.
    const READ: Permission;
    /// The permission to change it.
    const WRITE: Permission;

    /// The resource, if the org has it. `path` gives the other parameters of the path.
    fn load(
        store: &Store,
        tenant: Tenant,
        id: Self::Id,
        path: &PathParams,
    ) -> impl Future<Output = Result<Option<Self>, ReadError>> + Send;

    /// Whether somebody sees it who has the permission: what people have for themselves, not every
    /// member sees.
    fn is_visible_to(&self, _viewer: Viewer) -> bool {
        true
    }
}

/// The parameters of a path, by name.
#[derive(Debug, Clone, Default)]
pub struct PathParams(Vec<(String, String)>);

impl PathParams {
    /// The parameter of this name, if it has the form of what is asked for.
    #[must_use]
    pub fn get<T: FromStr>(&self, name: &str) -> Option<T> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .and_then(|(_, text)| text.parse().ok())
    }

    async fn of(parts: &mut Parts, app: &App) -> Self {
        RawPathParams::from_request_parts(parts, app)
            .await
            .map_or_else(
                |_| Self::default(),
                |params| {
                    Self(
                        params
                            .iter()
                            .map(|(n, v)| (n.to_owned(), v.to_owned()))
                            .collect(),
                    )
                },
            )
    }
}

/// What a handler wants to do with a resource.
pub trait Access: Send + 'static {
    /// The permission that this needs.
    fn permission<R: Resource>() -> Permission;
}

/// To see it.
#[derive(Debug, Clone, Copy)]
pub struct Read;

/// To change it.
#[derive(Debug, Clone, Copy)]
pub struct Write;

impl Access for Read {
    fn permission<R: Resource>() -> Permission {
        R::READ
    }
}

impl Access for Write {
    fn permission<R: Resource>() -> Permission {
        R::WRITE
    }
}

/// A caller who may access a kind of resource: for collections.
#[derive(Debug)]
pub struct Granted<R, A> {
    pub caller: Caller,
    access: PhantomData<fn() -> (R, A)>,
}

impl<R, A> Deref for Granted<R, A> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl<R: Resource, A: Access> FromRequestParts<App> for Granted<R, A> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, app).await?;
        caller.require(A::permission::<R>(), app).await?;
        Ok(Self {
            caller,
            access: PhantomData,
        })
    }
}

/// A resource of the caller's org which the caller may access. Whatever is not there, is somebody
/// else's or has no id's form answers one and the same 404.
#[derive(Debug)]
pub struct Owned<R, A> {
    /// The resource.
    pub item: R,
    pub caller: Caller,
    access: PhantomData<fn() -> A>,
}

impl<R, A> Deref for Owned<R, A> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.item
    }
}

impl<R: Resource, A: Access> FromRequestParts<App> for Owned<R, A> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, app).await?;
        caller.require(A::permission::<R>(), app).await?;
        let path = PathParams::of(parts, app).await;
        let not_found = || Problem::not_found(R::NOUN);
        let id: R::Id = path.get(R::PARAM).ok_or_else(not_found)?;
        let item = R::load(app.store(), caller.tenant(), id, &path)
            .await?
            .filter(|item| item.is_visible_to(caller.viewer()))
            .ok_or_else(not_found)?;
        Ok(Self {
            item,
            caller,
            access: PhantomData,
        })
    }
}

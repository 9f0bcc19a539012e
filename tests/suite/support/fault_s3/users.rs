//! Users who may not do everything: a gate decides of each of their requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

use super::{Request, StoredObject};

/// What decides what a user may do.
pub trait Gate: std::fmt::Debug + Send + Sync {
    /// Why a request is refused; `None` lets it pass. `stands` is the object that it is about, or what its upload is to be.
    fn refuse(&self, request: &Request, stands: Option<&StoredObject>) -> Option<String>;

    /// Whether one object of a request to remove many goes.
    fn removes(&self, bucket: &str, key: &str) -> bool;
}

#[derive(Clone, Debug)]
struct User {
    secret: String,
    gate: Option<Arc<dyn Gate>>,
}

/// All users by their access keys; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Users(Arc<Mutex<BTreeMap<String, User>>>);

impl Users {
    pub fn add(&self, access_key: &str, secret: &str, gate: Option<Arc<dyn Gate>>) {
        let user = User {
            secret: secret.to_owned(),
            gate,
        };
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        users.insert(access_key.to_owned(), user);
    }

    /// The secret that belongs to a key.
    pub fn secret(&self, access_key: &str) -> Option<String> {
        let users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(users.get(access_key)?.secret.clone())
    }

    /// What decides what the holder of a key may do; nothing for who may do everything.
    pub fn gate(&self, access_key: &str) -> Option<Arc<dyn Gate>> {
        let users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        users.get(access_key)?.gate.clone()
    }
}

#[async_trait::async_trait]
impl S3Auth for Users {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match users.get(access_key) {
            Some(user) => Ok(SecretKey::from(user.secret.clone())),
            None => Err(s3_error!(NotSignedUp, "Your account is not signed up")),
        }
    }
}

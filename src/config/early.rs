//! Settings that only flags and the environment can give, because they are needed before there is a configuration file:
//! which file that is, which profiles, and how to talk to the user.

use super::environment::Environment;
use super::file::ConfigFile;
use super::layers::{Flags, Layer, Layers};
use super::table::Spec;
use super::value::{FromValue, Origin, Raw, Setting};
use crate::base::failure::{Failure, Kind, Result};

/// The value that flags or environment give.
///
/// # Errors
/// [`Kind::Usage`] or [`Kind::Config`] if it is a wrong one.
pub fn find<T: FromValue>(spec: &'static Spec, flags: &Flags, environment: &Environment) -> Result<Option<Setting<T>>> {
    let file = ConfigFile::default();
    let layers = Layers {
        flags,
        environment,
        file: &file,
        profile: None,
    };
    for layer in [Layer::Flags, Layer::Environment] {
        if let Some((found, _)) = layers.in_layer(spec, layer)? {
            let kind = match found.origin {
                Origin::Flag(_) => Kind::Usage,
                _ => Kind::Config,
            };
            let value = spec.shape.read(&found.raw, &found.origin).map_err(|why| {
                Failure::new(kind, format!("Wrong value of {}", found.origin)).caused_by(anyhow::anyhow!(why))
            })?;
            return Ok(T::from_value(value).map(|value| Setting {
                value,
                origin: found.origin,
            }));
        }
    }
    Ok(None)
}

/// The value that flags or environment give, or else the built-in one.
///
/// # Errors
/// As [`find`].
pub fn get<T: FromValue + Default>(spec: &'static Spec, flags: &Flags, environment: &Environment) -> Result<T> {
    if let Some(found) = find(spec, flags, environment)? {
        return Ok(found.value);
    }
    let default = Raw::Text(spec.default.unwrap_or_default().to_owned());
    let value = spec.shape.read(&default, &Origin::BuiltIn).ok();
    Ok(value.and_then(T::from_value).unwrap_or_default())
}

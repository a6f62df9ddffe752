//! A status as protobuf's JSON has it: one space a level, every field written out,
//! 64-bit numbers as strings.

use std::fmt::Write as _;

use super::write::put_string;
use crate::error::Code;
use crate::ids::ModelName;
use crate::lifecycle::VersionStatus;

/// A writer of indented JSON, one member or item a line.
pub(super) struct Indented {
    pub(super) out: String,
    level: usize,
    empty: bool,
}

impl Indented {
    pub(super) fn new() -> Self {
        Self { out: String::new(), level: 0, empty: true }
    }

    fn line(&mut self) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', self.level));
    }

    /// Begins an item of a list.
    pub(super) fn item(&mut self) {
        if !self.empty {
            self.out.push(',');
        }
        self.line();
        self.empty = false;
    }

    /// Begins a member of an object.
    pub(super) fn key(&mut self, name: &str) {
        self.item();
        let mut quoted = Vec::new();
        put_string(&mut quoted, name.as_bytes());
        _ = write!(self.out, "{}: ", String::from_utf8_lossy(&quoted));
    }

    pub(super) fn string(&mut self, name: &str, value: &str) {
        self.key(name);
        let mut quoted = Vec::new();
        put_string(&mut quoted, value.as_bytes());
        self.out += &String::from_utf8_lossy(&quoted);
    }

    fn within(&mut self, brackets: [char; 2], inside: impl FnOnce(&mut Self)) {
        self.out.push(brackets[0]);
        self.level += 1;
        self.empty = true;
        inside(self);
        self.level -= 1;
        if !self.empty {
            self.line();
        }
        self.empty = false;
        self.out.push(brackets[1]);
    }

    pub(super) fn object(&mut self, inside: impl FnOnce(&mut Self)) {
        self.within(['{', '}'], inside);
    }

    pub(super) fn list(&mut self, inside: impl FnOnce(&mut Self)) {
        self.within(['[', ']'], inside);
    }

    /// Protobuf ends each message with a line.
    pub(super) fn end(mut self) -> String {
        self.out.push('\n');
        self.out
    }
}

/// `engine_of` names the engine of a version that is available; the reference's
/// answers have no such field.
fn put_versions(
    json: &mut Indented,
    versions: &[VersionStatus],
    engine_of: impl Fn(&VersionStatus) -> Option<String>,
) {
    json.key("model_version_status");
    json.list(|json| {
        for version in versions {
            json.item();
            json.object(|json| {
                json.string("version", &version.version.to_string());
                json.string("state", version.state.wire_name());
                json.key("status");
                json.object(|json| {
                    let error = version.error.as_ref();
                    json.string("error_code", error.map_or(Code::Ok, |error| error.code()).name());
                    json.string("error_message", error.map_or("", |error| error.message()));
                });
                if let Some(engine) = engine_of(version) {
                    json.string("engine", &engine);
                }
            });
        }
    });
}

/// `GetModelStatusResponse`.
pub(super) fn status(versions: &[VersionStatus]) -> String {
    let mut json = Indented::new();
    json.object(|json| put_versions(json, versions, |_| None));
    json.end()
}

/// Every model with its versions and their engines; ours, in the form of the answer for one.
pub(super) fn models(
    models: &[(ModelName, Vec<VersionStatus>)],
    engine_of: impl Fn(&ModelName, &VersionStatus) -> Option<String>,
) -> String {
    let mut json = Indented::new();
    json.object(|json| {
        json.key("models");
        json.list(|json| {
            for (name, versions) in models {
                json.item();
                json.object(|json| {
                    json.string("name", name.as_str());
                    put_versions(json, versions, |version| engine_of(name, version));
                });
            }
        });
    });
    json.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Version;
    use crate::lifecycle::{LoadError, State};

    #[test]
    fn a_status_is_printed_as_protobuf_does() {
        let version = |number: i64, state, error| VersionStatus {
            version: number.to_string().parse::<Version>().unwrap(),
            state,
            error,
        };
        let failed = LoadError::new(Code::NotFound, "no \"file\"");
        assert_eq!(
            status(&[version(12, State::Available, None), version(3, State::Failed, Some(failed))]),
            r#"{
 "model_version_status": [
  {
   "version": "12",
   "state": "AVAILABLE",
   "status": {
    "error_code": "OK",
    "error_message": ""
   }
  },
  {
   "version": "3",
   "state": "END",
   "status": {
    "error_code": "NOT_FOUND",
    "error_message": "no \"file\""
   }
  }
 ]
}
"#
        );
        assert_eq!(models(&[], |_, _| None), "{\n \"models\": []\n}\n");
    }
}

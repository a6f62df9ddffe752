//! What a person sees at the start: what is served, where, and how to ask it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use crate::config::{Models, TlsFile};
use crate::ids::{ModelQuery, VersionChoice};
use crate::lifecycle::{State, VersionStatus};
use crate::servable::{DEFAULT_SIGNATURE, Signature, TensorSpec};
use crate::server::App;
use crate::tensor::DType;

/// Models that are listed; a repository may have thousands.
const MODELS_LISTED: usize = 20;
/// Columns of the example row that is printed.
const EXAMPLE_COLUMNS: usize = 16;

/// Prints it to stdout.
pub(super) fn print(app: &App) {
    // A closed stdout is no reason to stop serving.
    let _ = std::io::stdout().write_all(banner(app).as_bytes());
}

fn banner(app: &App) -> String {
    let mut out = format!("Longshore {} serves ", env!("CARGO_PKG_VERSION"));
    match &app.config().models {
        Models::Repository(root) => _ = writeln!(out, "the models in {}", root.display()),
        Models::Single(name, base) => _ = writeln!(out, "{name} from {}", base.display()),
        Models::Listed(list) => {
            let count = list.as_ref().map_or(0, |list| list.models.len());
            let file = app.config().model_config_file.as_ref();
            let file = file.map_or_else(String::new, |file| format!(" of {}", file.path.display()));
            _ = writeln!(out, "the {count} models{file}");
        }
    }
    let names = app.states().models();
    if names.is_empty() && !matches!(app.config().models, Models::Listed(_)) {
        out += "\n  no models yet: put one at <model>/<version>/model.pkl and it is served\n";
    }
    let mut rows = vec![["MODEL", "VERSION", "STATE", "TAKES", "GIVES"].map(str::to_owned)];
    let mut example = None;
    let plane = app.data_plane();
    for name in names.iter().take(MODELS_LISTED) {
        for status in app.states().versions(name.as_str()).unwrap_or_default() {
            let choice = VersionChoice::Specific(status.version.get());
            let query = ModelQuery { name: name.as_str().to_owned(), choice };
            let handle = plane.find(&query).ok();
            let found = handle.as_ref().and_then(|h| h.servable().signatures().find(DEFAULT_SIGNATURE));
            let signature = found.map(|(_, signature)| signature);
            rows.push(row(name.as_str(), &status, signature));
            example = example.or_else(|| signature.and_then(|s| request(name.as_str(), s)));
        }
    }
    if !names.is_empty() {
        out += "\n";
        out += &table(&rows);
    }
    if names.len() > MODELS_LISTED {
        _ = writeln!(out, "  … and {} more", names.len() - MODELS_LISTED);
    }
    const WHAT: &str = "TensorFlow Serving API, health, reflection";
    let (grpc_tls, rest_tls) = (app.config().grpc_tls.as_ref(), app.config().rest_tls.as_ref());
    let behind = |tls: Option<&TlsFile>| match tls.map(|tls| tls.text.client_verify) {
        None => "",
        Some(false) => "; TLS",
        Some(true) => "; TLS, for clients with a certificate",
    };
    out += "\n";
    if let Some(address) = app.grpc_address() {
        _ = writeln!(out, "  gRPC  {address}  {WHAT}{}", behind(grpc_tls));
    }
    if let Some(path) = &app.config().grpc_socket {
        _ = writeln!(out, "  gRPC  unix:{}  {WHAT}{}", path.display(), behind(grpc_tls));
    }
    if let Some(address) = app.rest_address() {
        _ = writeln!(out, "  REST  {address}  TensorFlow Serving API, /healthz, /readyz{}", behind(rest_tls));
    }
    if let (Some(request), Some(address)) = (example, app.grpc_address()) {
        let target = dialable(address);
        let how = match grpc_tls.map(|tls| tls.text.client_verify) {
            None => "-plaintext",
            Some(false) => "-cacert ca.pem",
            Some(true) => "-cacert ca.pem -cert client.pem -key client.key",
        };
        _ = writeln!(out, "\nAsk it:\n\n  grpcurl {how} -d '{request}' \\");
        _ = writeln!(out, "    {target} tensorflow.serving.PredictionService/Predict");
    }
    out += "\n";
    out
}

fn row(model: &str, status: &VersionStatus, signature: Option<&Signature>) -> [String; 5] {
    let specs = |specs: &[TensorSpec]| specs.iter().map(spec).collect::<Vec<_>>().join(", ");
    let (takes, gives) = match (signature, &status.error) {
        (Some(signature), _) => (specs(&signature.inputs), specs(&signature.outputs)),
        (None, Some(error)) => (error.message().to_owned(), String::new()),
        (None, None) => Default::default(),
    };
    let state = match status.state {
        State::Failed => "failed".to_owned(),
        state => state.wire_name().to_owned(),
    };
    [model.to_owned(), status.version.to_string(), state, takes, gives]
}

/// `inputs double[-1,4]`
fn spec(spec: &TensorSpec) -> String {
    let dims = spec.dims.as_ref().map(|dims| {
        let dim = |dim: &Option<usize>| dim.map_or_else(|| "-1".to_owned(), |n| n.to_string());
        dims.iter().map(dim).collect::<Vec<_>>().join(",")
    });
    format!("{} {}[{}]", spec.name, spec.dtype, dims.as_deref().unwrap_or("?"))
}

/// Aligned columns, as wide as their widest cell; the last is left ragged.
pub(super) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let widest = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        // An error message may be long; it must not push the last column to the right.
        if column + 2 == N { widest.min(60) } else { widest }
    };
    let mut out = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for (column, cell) in row.iter().enumerate() {
            let width = if column + 1 < N { width(column) } else { 0 };
            _ = write!(line, " {cell:<width$} ");
        }
        _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// The body of a Predict that this signature takes, as grpcurl wants it; `None`
/// when it would not fit a line.
fn request(model: &str, signature: &Signature) -> Option<String> {
    let input = |spec: &TensorSpec| {
        let dims: Vec<usize> = spec.dims.as_ref()?.iter().map(|dim| dim.unwrap_or(1)).collect();
        let n = dims.iter().product::<usize>();
        let (field, value) = match spec.dtype {
            DType::Double => ("double_val", "0.5"),
            DType::Float => ("float_val", "0.5"),
            DType::Int64 => ("int64_val", "1"),
            DType::Int32 => ("int_val", "1"),
            _ => return None,
        };
        if n > EXAMPLE_COLUMNS {
            return None;
        }
        let dims = dims.iter().map(|dim| format!("{{\"size\":{dim}}}")).collect::<Vec<_>>().join(",");
        let values = vec![value; n].join(",");
        let dtype = format!("DT_{}", spec.dtype.name().to_uppercase());
        Some(format!(
            "\"{}\":{{\"dtype\":\"{dtype}\",\"tensor_shape\":{{\"dim\":[{dims}]}},\"{field}\":[{values}]}}",
            spec.name
        ))
    };
    let inputs = signature.inputs.iter().map(input).collect::<Option<Vec<_>>>()?.join(",");
    Some(format!("{{\"model_spec\":{{\"name\":\"{model}\"}},\"inputs\":{{{inputs}}}}}"))
}

/// Where a client on this machine reaches it: "any address" is not one.
fn dialable(address: SocketAddr) -> String {
    let ip = match address.ip() {
        ip if ip.is_unspecified() => return format!("localhost:{}", address.port()),
        IpAddr::V6(ip) => format!("[{ip}]"),
        IpAddr::V4(ip) => ip.to_string(),
    };
    format!("{ip}:{}", address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servable::Method;

    #[test]
    fn the_example_is_a_request_that_fits_the_signature() {
        let signature = Signature {
            name: DEFAULT_SIGNATURE.into(),
            inputs: vec![TensorSpec::new("inputs", DType::Double, &[None, Some(2)])],
            outputs: vec![],
            method: Method::Predict,
        };
        let body: serde_json::Value = serde_json::from_str(&request("m", &signature).unwrap()).unwrap();
        assert_eq!(body["model_spec"]["name"], "m");
        assert_eq!(body["inputs"]["inputs"]["tensor_shape"]["dim"][1]["size"], 2);
        assert_eq!(body["inputs"]["inputs"]["double_val"], serde_json::json!([0.5, 0.5]));
    }

    #[test]
    fn an_address_can_be_dialled() {
        assert_eq!(dialable("0.0.0.0:8500".parse().unwrap()), "localhost:8500");
        assert_eq!(dialable("[::]:1".parse().unwrap()), "localhost:1");
        assert_eq!(dialable("[::1]:1".parse().unwrap()), "[::1]:1");
        assert_eq!(dialable("127.0.0.1:9".parse().unwrap()), "127.0.0.1:9");
    }
}

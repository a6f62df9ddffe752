//! Servers as child processes, and what the system says of them.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Time for a server to come up.
const START: Duration = Duration::from_secs(60);

/// A running server; killed when dropped.
pub(crate) struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// The real server over `repository`, with REST on the port `rest`, if there shall
    /// be any, its log in `log`, and more `flags`. Comes back once it has told its address, which is
    /// when its ports are open.
    pub(crate) fn longshore(
        repository: &Path,
        rest: Option<u16>,
        log: &Path,
        flags: &[String],
    ) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
        command
            .arg(format!("--model_repository={}", repository.display()))
            .args(["--bind_address=127.0.0.1", "--port=0"])
            .arg(format!("--rest_api_port={}", rest.unwrap_or(0)))
            .args(flags)
            .stdin(Stdio::null())
            .stderr(File::create(log)?);
        Self::start(command, grpc_address_in).map_err(|error| {
            let said = std::fs::read_to_string(log).unwrap_or_default();
            let last: Vec<_> = said.lines().rev().take(5).collect();
            format!("longshore: {error}; it logged, newest first: {last:#?}").into()
        })
    }

    /// Starts a process that tells its address in a line of its output, as
    /// `address_in` finds it there.
    pub(crate) fn start(
        mut command: Command,
        address_in: fn(&str) -> Option<String>,
    ) -> Result<Self, Box<dyn Error>> {
        let mut process = command.stdout(Stdio::piped()).spawn()?;
        let said = process.stdout.take().ok_or("the server has no output")?;
        let mut server = Self { process, address: String::new() };
        let (tell, told) = mpsc::channel();
        // Reads on to the end: nobody else takes what the server says.
        thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                if let Some(address) = address_in(&line) {
                    // Nobody listens for a second one.
                    let _ = tell.send(address);
                }
            }
        });
        server.address = told.recv_timeout(START).map_err(|_| "the server told no address")?;
        Ok(server)
    }

    /// HOST:PORT.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// User and system time of the process so far, µs. Source: proc(5), `stat`.
    pub(crate) fn cpu_micros(&self) -> Result<f64, Box<dyn Error>> {
        /// Linux counts these fields in hundredths of a second on every machine.
        const TICK_MICROS: f64 = 10_000.0;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        // The second field is the program's name in brackets, which may hold anything.
        let (_, fields) = stat.rsplit_once(')').ok_or("no `)` in /proc/PID/stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        Ok(ticks * TICK_MICROS)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else to do about it here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address in the banner's line `  gRPC  127.0.0.1:43210  …`.
fn grpc_address_in(line: &str) -> Option<String> {
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["gRPC", address, _, ..] => Some(address.to_owned()),
        _ => None,
    }
}

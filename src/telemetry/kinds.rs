//! The words that series are told apart by, of which there is a fixed number.

use crate::error::Code;

/// What a caller asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the calls")]
pub enum Rpc {
    Predict,
    Classify,
    Regress,
    MultiInference,
    GetModelMetadata,
    GetModelStatus,
    /// Over REST: what is none of these, or is not understood.
    Other,
}

/// How it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the protocols")]
pub enum Protocol {
    Grpc,
    Rest,
}

/// Why a request did not reach the model although it fits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// Too many wait.
    QueueFull,
    /// Its deadline passed first.
    DeadlineExceeded,
    /// It is larger than a batch may be.
    TooLarge,
}

/// What a load came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Failure,
}

pub(super) const CODES: usize = Code::ALL.len();
pub(super) const KINDS: usize = Rpc::ALL.len() * Protocol::ALL.len();

impl Rpc {
    pub(super) const ALL: [Self; 7] = [
        Self::Predict,
        Self::Classify,
        Self::Regress,
        Self::MultiInference,
        Self::GetModelMetadata,
        Self::GetModelStatus,
        Self::Other,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Predict => "Predict",
            Self::Classify => "Classify",
            Self::Regress => "Regress",
            Self::MultiInference => "MultiInference",
            Self::GetModelMetadata => "GetModelMetadata",
            Self::GetModelStatus => "GetModelStatus",
            Self::Other => "",
        }
    }
}

impl Protocol {
    pub(super) const ALL: [Self; 2] = [Self::Grpc, Self::Rest];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Grpc => "gRPC",
            Self::Rest => "REST",
        }
    }
}

impl Rejection {
    pub(super) const ALL: [Self; 3] = [Self::QueueFull, Self::DeadlineExceeded, Self::TooLarge];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::TooLarge => "too_large",
        }
    }
}

impl Outcome {
    pub(super) const ALL: [Self; 2] = [Self::Success, Self::Failure];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

/// A call over a protocol: what a series of requests is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) rpc: Rpc,
    pub(super) protocol: Protocol,
}

impl Kind {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let over = |protocol| Rpc::ALL.into_iter().map(move |rpc| Self { rpc, protocol });
        Protocol::ALL.into_iter().flat_map(over)
    }

    pub(super) fn place(self) -> usize {
        self.protocol as usize * Rpc::ALL.len() + self.rpc as usize
    }

    /// Whether the reference counts it: over gRPC the three calls alone, over REST
    /// whatever comes.
    pub(super) fn is_counted_by_reference(self) -> bool {
        self.protocol == Protocol::Rest || self.is_inference()
    }

    /// Whether it is one of the calls whose run the reference times.
    pub(super) fn is_inference(self) -> bool {
        matches!(self.rpc, Rpc::Predict | Rpc::Classify | Rpc::Regress)
    }

    /// The labels `API` and `entrypoint` of the reference.
    pub(super) fn reference_labels(self) -> (&'static str, &'static str) {
        match (self.protocol, self.rpc) {
            (Protocol::Grpc, rpc) => (rpc.name(), "GRPC"),
            (Protocol::Rest, Rpc::Predict) => ("predict", "REST"),
            (Protocol::Rest, Rpc::Classify) => ("classify", "REST"),
            (Protocol::Rest, Rpc::Regress) => ("regress", "REST"),
            (Protocol::Rest, _) => ("", "REST"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_and_code_has_a_place_of_its_own() {
        let places: Vec<usize> = Kind::all().map(Kind::place).collect();
        assert_eq!(places, (0..KINDS).collect::<Vec<_>>());
        let codes: Vec<usize> = Code::ALL.iter().map(|&code| code as usize).collect();
        assert_eq!(codes, (0..CODES).collect::<Vec<_>>());
        let rejections: Vec<usize> = Rejection::ALL.iter().map(|&reason| reason as usize).collect();
        assert_eq!(rejections, (0..Rejection::ALL.len()).collect::<Vec<_>>());
    }
}

//! What the sums of a booster mean, by its objective.

/// How sums become predictions. Source: `ObjectiveFunction::ConvertOutput`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Transform {
    /// They are the predictions.
    Identity,
    /// A square root, with its sign.
    Square,
    /// A logarithm.
    Exp,
    /// Log-odds, divided by this: a probability.
    Logistic(f64),
    /// The logarithm of one less than an exponential.
    Softplus,
    /// One for each class: probabilities.
    Softmax,
}

impl Transform {
    /// Of an objective as a file names it, with its parameters.
    pub(super) fn of(objective: Option<&str>) -> Result<Self, String> {
        let Some(text) = objective else { return Ok(Self::Identity) };
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let words: Vec<&str> = words.collect();
        let sigmoid = || {
            let stated = words.iter().find_map(|word| word.strip_prefix("sigmoid:")).unwrap_or("1");
            let sigmoid = stated.parse().ok().filter(|sigmoid: &f64| sigmoid.is_finite() && *sigmoid > 0.0);
            sigmoid.ok_or_else(|| format!("is {text:?}; expected a positive number after \"sigmoid:\""))
        };
        Ok(match name {
            "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape"
                if words.contains(&"sqrt") =>
            {
                Self::Square
            }
            "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" | "lambdarank"
            | "rank_xendcg" | "custom" => Self::Identity,
            "poisson" | "gamma" | "tweedie" => Self::Exp,
            "binary" | "multiclassova" => Self::Logistic(sigmoid()?),
            "cross_entropy" => Self::Logistic(1.0),
            "cross_entropy_lambda" => Self::Softplus,
            "multiclass" => Self::Softmax,
            other => return Err(format!("is {other:?}, which is none of LightGBM's that are known here")),
        })
    }

    /// Makes predictions of rows that hold `outputs` sums each.
    pub(super) fn apply(self, sums: &mut [f64], outputs: usize) {
        match self {
            Self::Identity => {}
            Self::Square => sums.iter_mut().for_each(|sum| *sum *= sum.abs()),
            Self::Exp => sums.iter_mut().for_each(|sum| *sum = sum.exp()),
            Self::Logistic(sigmoid) => {
                sums.iter_mut().for_each(|sum| *sum = 1.0 / (1.0 + (-sigmoid * *sum).exp()));
            }
            Self::Softplus => sums.iter_mut().for_each(|sum| *sum = sum.exp().ln_1p()),
            Self::Softmax => sums.chunks_exact_mut(outputs).for_each(softmax),
        }
    }
}

/// Source: `Common::Softmax`.
fn softmax(sums: &mut [f64]) {
    let most = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut all = 0.0;
    for sum in sums.iter_mut() {
        *sum = (*sum - most).exp();
        all += *sum;
    }
    sums.iter_mut().for_each(|sum| *sum /= all);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objectives_are_told_by_name_and_parameters() {
        assert_eq!(Transform::of(None), Ok(Transform::Identity));
        assert_eq!(Transform::of(Some("regression sqrt")), Ok(Transform::Square));
        assert_eq!(Transform::of(Some("binary sigmoid:0.5")), Ok(Transform::Logistic(0.5)));
        assert_eq!(Transform::of(Some("multiclass num_class:3")), Ok(Transform::Softmax));
        let refused = "is \"binary sigmoid:-1\"; expected a positive number after \"sigmoid:\"";
        assert_eq!(Transform::of(Some("binary sigmoid:-1")), Err(refused.to_owned()));
        assert!(Transform::of(Some("mine")).unwrap_err().starts_with("is \"mine\""));
    }
}

//! One line per target: what was measured, what is wanted, whether it is so.

/// Prints one line. `relation` is `>=` or `<=`: the side of `target` that is good.
pub(crate) fn tell(what: &str, measured: f64, relation: &str, target: f64, unit: &str) {
    let met = if relation == ">=" { measured >= target } else { measured <= target };
    let verdict = if met { "met" } else { "MISSED" };
    println!("{what}: {measured:.3}{unit} (target {relation} {target:.2}{unit}): {verdict}");
}

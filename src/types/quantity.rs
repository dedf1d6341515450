//! Sizes as people write them.

/// The bytes that `10G` means: a whole number, with K, M, G, T or P for powers of 1024, below 2^63.
#[must_use]
pub fn bytes_of(text: &str) -> Option<u64> {
    let units = ["K", "M", "G", "T", "P"];
    let upper = text.to_ascii_uppercase();
    // `10K`, `10KB` and `10KiB` are one: a factor of 1000 is never meant.
    let plain = upper.strip_suffix("IB").or(upper.strip_suffix('B'));
    let number = plain.unwrap_or(&upper);
    let (digits, power) = units
        .iter()
        .zip(1..)
        .find_map(|(unit, power)| Some((number.strip_suffix(unit)?, power)))
        .unwrap_or((number, 0));
    let number = digits.parse::<u64>().ok()?;
    let bytes = number.checked_mul(1024_u64.checked_pow(power)?)?;
    // SQLite's integers and `loff_t` are signed.
    i64::try_from(bytes).ok().map(|_| bytes)
}

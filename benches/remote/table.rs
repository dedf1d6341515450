//! What was measured, as a table: medians, and their ratio to the first of each row.

use std::collections::BTreeMap;
use std::time::Duration;

use super::proxy::Traffic;

/// All that was measured, in the order in which it first was.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<(String, Vec<String>)>,
    values: BTreeMap<(String, String), Vec<f64>>,
    texts: BTreeMap<(String, String), String>,
}

impl Table {
    /// So many bytes took so long.
    #[expect(clippy::cast_precision_loss, reason = "a rate is no exact number")]
    pub(crate) fn rate(&mut self, row: &str, who: &str, bytes: u64, took: Duration) {
        let rate = (bytes >> 20) as f64 / took.as_secs_f64();
        self.note(row, who);
        let key = (row.to_owned(), who.to_owned());
        self.values.entry(key).or_default().push(rate);
    }

    pub(crate) fn time(&mut self, row: &str, took: Duration) {
        self.note(row, "cask");
        let key = (row.to_owned(), "cask".to_owned());
        self.texts
            .insert(key, format!("{:.2} s", took.as_secs_f64()));
    }

    /// So much passed the proxy.
    #[expect(clippy::cast_precision_loss, reason = "what is told is rounded")]
    pub(crate) fn traffic(&mut self, row: &str, who: &str, traffic: &Traffic) {
        self.note(row, who);
        let (count, mib) = (traffic.requests.len(), |bytes: u64| {
            bytes as f64 / 1048576.0
        });
        let (up, down) = (mib(traffic.up), mib(traffic.down));
        let text = format!("{count} requests, {up:.2} MiB up, {down:.2} MiB down");
        self.texts.insert((row.to_owned(), who.to_owned()), text);
    }

    fn note(&mut self, row: &str, who: &str) {
        let at = self.rows.iter().position(|(known, _)| known == row);
        let at = at.unwrap_or_else(|| {
            self.rows.push((row.to_owned(), Vec::new()));
            self.rows.len() - 1
        });
        let known = &mut self.rows[at].1;
        if !known.iter().any(|one| one == who) {
            known.push(who.to_owned());
        }
    }

    fn median(&self, row: &str, who: &str) -> Option<f64> {
        let mut values = self.values.get(&(row.to_owned(), who.to_owned()))?.clone();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    pub(crate) fn print(&self) {
        println!("| what | who | | ratio |");
        println!("| --- | --- | --- | --- |");
        for (row, all) in &self.rows {
            let first = all.first().and_then(|who| self.median(row, who));
            for who in all {
                let (text, ratio) = match self.median(row, who) {
                    Some(value) => {
                        let ratio = first.map_or(1.0, |first| value / first);
                        (format!("{value:.0} MiB/s"), format!("{ratio:.2}"))
                    }
                    None => (
                        self.texts[&(row.clone(), who.clone())].clone(),
                        String::new(),
                    ),
                };
                println!("| {row} | {who} | {text} | {ratio} |");
            }
        }
    }
}

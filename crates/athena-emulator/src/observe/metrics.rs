use std::collections::BTreeMap;
use std::fmt::Write;

use super::Stats;
use crate::deployments::DeploymentInfo;

/// The figures in Prometheus' text exposition format, version 0.0.4.
pub(crate) fn render(stats: &Stats, deployments: &[DeploymentInfo], faults: u64) -> String {
    let backlog: usize = deployments
        .iter()
        .map(|deployment| deployment.backlog)
        .sum();
    let mut text = Text::default();
    text.labelled(
        "calls_total",
        "gRPC calls by method.",
        "method",
        &stats.calls,
    );
    text.counter(
        "calls_unauthenticated_total",
        "Calls refused for their token.",
        stats.calls_unauthenticated,
    );
    text.counter(
        "streams_opened_total",
        "Streams opened.",
        stats.streams_opened,
    );
    text.gauge("streams_open", "Streams open now.", stats.streams_open);
    text.counter(
        "messages_total",
        "Stream messages with inputs.",
        stats.messages,
    );
    text.counter(
        "keepalives_total",
        "Stream messages without inputs.",
        stats.keepalives,
    );
    text.counter("inputs_total", "Inputs received.", stats.inputs);
    text.counter(
        "input_bytes_total",
        "Bytes of image data received.",
        stats.input_bytes,
    );
    text.labelled(
        "inputs_by_encoding_total",
        "Inputs by encoding.",
        "encoding",
        &stats.encodings,
    );
    text.labelled(
        "inputs_by_format_total",
        "Inputs by image format.",
        "format",
        &stats.formats,
    );
    text.labelled("hashes_total", "Hashes by type.", "type", &stats.hashes);
    text.counter(
        "correlation_ids_reused_total",
        "Inputs whose correlation id was in flight already.",
        stats.correlation_ids_reused,
    );
    text.counter(
        "classified_total",
        "Inputs answered with classifications.",
        stats.classified,
    );
    text.labelled(
        "errors_total",
        "Inputs answered with an error.",
        "code",
        &stats.errors,
    );
    text.counter(
        "results_sent_total",
        "Results sent on streams.",
        stats.results_sent,
    );
    text.counter(
        "results_dropped_total",
        "Results dropped from full backlogs.",
        stats.results_dropped,
    );
    text.counter(
        "results_expired_total",
        "Results nobody collected in time.",
        stats.results_expired,
    );
    text.counter(
        "tokens_granted_total",
        "Token requests granted.",
        stats.tokens_granted,
    );
    text.counter(
        "tokens_refused_total",
        "Token requests refused.",
        stats.tokens_refused,
    );
    text.counter("faults_total", "Faults struck since they were set.", faults);
    text.gauge("deployments", "Deployments.", deployments.len() as u64);
    text.gauge(
        "backlog",
        "Results waiting in all deployments.",
        backlog as u64,
    );
    text.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.header(name, help, "counter");
        self.line(format_args!("athena_emulator_{name} {value}"));
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.header(name, help, "gauge");
        self.line(format_args!("athena_emulator_{name} {value}"));
    }

    fn labelled(&mut self, name: &str, help: &str, label: &str, values: &BTreeMap<String, u64>) {
        self.header(name, help, "counter");
        for (value, count) in values {
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            self.line(format_args!(
                "athena_emulator_{name}{{{label}=\"{value}\"}} {count}"
            ));
        }
    }

    fn header(&mut self, name: &str, help: &str, kind: &str) {
        self.line(format_args!("# HELP athena_emulator_{name} {help}"));
        self.line(format_args!("# TYPE athena_emulator_{name} {kind}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{line}");
    }
}

import ArgumentParser
import BongsuAlerts
import BongsuFleet
import BongsuIngest
import BongsuRollup
import Foundation
import Logging

/// Options for alarms.
struct AlertOptions: ParsableArguments {
  @Option(help: "Rule files in Prometheus's format, a path or pattern; may be repeated.")
  var rules: [String] = []

  @Option(help: "Address of an Alertmanager, http://HOST:9093; may be repeated, one for each member of a cluster.")
  var alertmanager: [String] = []

  @Option(help: "Alerting file: receivers with credentials, webhooks, external labels, and whether shipped rules run.")
  var alerting: String?

  @Option(
    name: .customLong("external-url"),
    help:
      "Address by which people reach this aggregator, for links in alerts. (default: http:// or https:// and --http)")
  var externalURL: String?

  /// The configuration that file and options make together.
  func configuration(http: Address, isEncrypted: Bool) throws -> AlertingConfiguration {
    var configuration = AlertingConfiguration()
    if let alerting {
      switch AlertingConfiguration.load(alerting) {
      case .success(let read): configuration = read
      case .failure(let failures): throw ValidationError(failures.description)
      }
    }
    if let externalURL {
      configuration.externalURL = externalURL.hasSuffix("/") ? String(externalURL.dropLast()) : externalURL
    }
    if configuration.externalURL.isEmpty {
      let host = http.isWildcard ? ProcessInfo.processInfo.hostName : http.host
      configuration.externalURL = "\(isEncrypted ? "https" : "http")://\(host):\(http.port)"
    }
    configuration.ruleFiles += rules
    if let problem = configuration.addAlertmanagers(alertmanager) { throw ValidationError(problem) }
    return configuration
  }
}

/// Everything that alarms consist of.
struct Alarms {
  let feed: AlertFeed
  let written: RuleSeries
  let catalogue: RollupCatalogue

  init(plan: RollupPlan, catalogue: RollupCatalogue) {
    self.catalogue = catalogue
    feed = AlertFeed(plan: plan, catalogue: catalogue)
    written = RuleSeries()
  }

  /// The series that alarms add to what can be asked for.
  var parts: [any SeriesPart] {
    [MemoryPart(series: feed.series, catalogue: catalogue), MemoryPart(series: written, catalogue: catalogue)]
  }

  /// Loads rules and what was saved in `directory`; `others`: everything that can be asked for beside rollups.
  func runner(
    _ configuration: AlertingConfiguration, directory: String, others: AggregatorSeries, logger: Logger
  ) throws -> AlertRunner {
    let file = try AlertFile(path: "\(directory)/alerts.sqlite") { logger.critical("\($0)") }
    return try AlertRunner(
      configuration, persistence: file,
      inputs: AlertRunner.Inputs(
        source: RuleSource(live: feed.series, written: written, others: others),
        circumstances: { feed.circumstances($0) }, prepare: { feed.prepare($0) }),
      logger: logger)
  }
}

internal import Foundation

/// The JSON that receivers get.
enum AlertBody {
  private static let encoder: JSONEncoder = {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return encoder
  }()

  private struct AlertmanagerAlert: Encodable {
    let labels: [String: String]
    let annotations: [String: String]
    let startsAt: String
    let endsAt: String
    let generatorURL: String
  }

  /// The list that Alertmanager's `POST /api/v2/alerts` takes. A firing alert ends `holdMilliseconds` ahead unless it is
  /// told again.
  static func alertmanager(_ events: [AlertEvent], now: Int64, holdMilliseconds: Int64) throws -> Data {
    try encoder.encode(
      events.map { event in
        AlertmanagerAlert(
          labels: event.labels.filter { !$0.value.isEmpty }, annotations: event.annotations,
          startsAt: InstantText.text(event.startsAt),
          endsAt: InstantText.text(event.resolvedAt ?? now + holdMilliseconds), generatorURL: event.generatorURL)
      })
  }

  private struct Message: Encodable {
    struct Alert: Encodable {
      let status: String
      let labels: [String: String]
      let annotations: [String: String]
      let startsAt: String
      let endsAt: String?
      let generatorURL: String
      let value: Double?
      let coverage: Double?
      let estimatedShare: Double?

      enum CodingKeys: String, CodingKey {
        case status, labels, annotations, startsAt, endsAt, generatorURL, value, coverage
        case estimatedShare = "estimated_share"
      }
    }

    let version = "1"
    let receiver: String
    let status: String
    let externalURL: String
    let alerts: [Alert]
  }

  /// What webhooks and commands get: status of the whole (`firing` when any alert fires) and each alert.
  static func message(_ events: [AlertEvent], receiver: String, externalURL: String) throws -> Data {
    let alerts = events.map { event in
      Message.Alert(
        status: event.isResolved ? "resolved" : "firing", labels: event.labels, annotations: event.annotations,
        startsAt: InstantText.text(event.startsAt), endsAt: event.resolvedAt.map(InstantText.text),
        generatorURL: event.generatorURL, value: event.value, coverage: event.coverage,
        estimatedShare: event.estimatedShare)
    }
    let isFiring = events.contains { !$0.isResolved }
    return try encoder.encode(
      Message(
        receiver: receiver, status: isFiring ? "firing" : "resolved", externalURL: externalURL, alerts: alerts))
  }
}

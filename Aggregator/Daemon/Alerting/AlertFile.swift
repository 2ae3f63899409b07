import BongsuAlerts
import BongsuStore
import Foundation

/// Keeps the state of alarms in `DATA/alerts.sqlite`, as JSON in the store's rows.
struct AlertFile: AlertPersistence {
  private let store: AlertStore

  /// Opens the file; a damaged one is made anew of its sound rows, kept, and told by `tell`.
  init(path: String, tell: (String) -> Void) throws {
    store = try AlertStore.mended(path: path) { line in
      tell("the saved state of alerts: \(line); alerts that are lost begin anew and are told again")
    }
  }

  func load() throws -> SavedAlerting {
    let contents = try store.contents()
    var saved = SavedAlerting()
    saved.damage = contents.damage
    for alert in contents.alerts {
      do { saved.alerts.append(try Self.decode(SavedAlert.self, alert.body)) } catch {
        saved.damage.append("an alert of rule \(alert.rule) cannot be read and is left out")
      }
    }
    for event in contents.events {
      do {
        saved.events.append((event.number, event.receiver, try Self.decode(AlertEvent.self, event.body)))
      } catch {
        saved.damage.append("an event for \(event.receiver) cannot be read and is left out")
      }
    }
    saved.coverage = contents.notes["coverage"].flatMap(Double.init)
    return saved
  }

  func commit(_ change: AlertingChange) throws -> [Int64] {
    var rows = AlertStore.Change()
    for (rule, alerts) in change.alerts { rows.alerts[rule] = try alerts.map(Self.encode) }
    rows.transitions = try change.transitions.map { ($0.at, try Self.encode($0)) }
    rows.events = try change.events.map { ($0.receiver, try Self.encode($0.event)) }
    rows.doneEvents = change.doneEvents
    if let coverage = change.coverage { rows.notes["coverage"] = "\(coverage)" }
    return try store.commit(rows)
  }

  func history(from start: Int64, through end: Int64, limit: Int) throws -> [AlertTransition] {
    try store.transitions(from: start, through: end, limit: limit).bodies
      .compactMap { try? Self.decode(AlertTransition.self, $0) }
  }

  private static func encode(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }

  private static func decode<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
    try JSONDecoder().decode(type, from: Data(text.utf8))
  }
}

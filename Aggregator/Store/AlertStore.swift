internal import Foundation
internal import GRDB

/// The state of alarms that must survive a restart: alerts, events that no receiver has confirmed, and the history of
/// transitions. One SQLite file with one writer; every row has a checksum, and a damaged row is left out and named.
///
/// What rows hold is text of the owner's making (JSON); the store looks at none of it.
///
/// Thread rule: from any thread, blocking.
public final class AlertStore: Sendable {
  /// An alert, under its rule's key and its own identity.
  public struct Alert: Sendable, Hashable {
    public var rule: String
    public var body: String

    public init(rule: String, body: String) {
      self.rule = rule
      self.body = body
    }
  }

  /// An event that waits for a receiver.
  public struct Event: Sendable, Hashable {
    public var number: Int64
    public var receiver: String
    public var body: String
  }

  /// Everything that a start takes over.
  public struct Contents: Sendable {
    public var alerts: [Alert] = []
    public var events: [Event] = []
    public var notes: [String: String] = [:]
    /// What could not be read, one line each.
    public var damage: [String] = []
  }

  /// One transaction.
  public struct Change: Sendable {
    /// All alerts of these rules; what was saved of them before goes.
    public var alerts: [String: [String]] = [:]
    /// Transitions with their times, milliseconds since 1970.
    public var transitions: [(at: Int64, body: String)] = []
    public var events: [(receiver: String, body: String)] = []
    public var doneEvents: [Int64] = []
    public var notes: [String: String] = [:]

    public init() {}
  }

  private let database: StoreDatabase

  /// Opens or makes the file at `path`.
  ///
  /// - Throws: ``StoreError/damaged(path:message:)`` when it is not sound: call ``setAside(path:now:)`` and open again.
  public init(path: String) throws(StoreError) {
    database = try StoreDatabase(path: path, version: 1, migrations: [Self.createTables])
    if let problem = try database.problem() { throw .damaged(path: path, message: problem) }
  }

  /// Renames a damaged file out of the way; it is kept for inspection. `now`: milliseconds since 1970.
  public static func setAside(path: String, now: Int64) throws(StoreError) {
    try StoreDatabase.setAside(path: path, now: now)
  }

  private static let createTables: @Sendable (Database) throws -> Void = { db in
    try db.execute(
      sql: """
        CREATE TABLE alerts (
          id INTEGER PRIMARY KEY, rule TEXT NOT NULL, body TEXT NOT NULL, checksum INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX alerts_by_rule ON alerts (rule);
        CREATE TABLE transitions (
          id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, body TEXT NOT NULL, checksum INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX transitions_by_time ON transitions (at_ms);
        CREATE TABLE events (
          id INTEGER PRIMARY KEY AUTOINCREMENT, receiver TEXT NOT NULL, body TEXT NOT NULL, checksum INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL) STRICT;
        """)
  }

  private static func checksum(_ first: String, _ second: String) -> Int64 {
    var checksum = RowChecksum()
    checksum.add(first)
    checksum.add(second)
    return checksum.value
  }

  /// Reads everything but the history.
  public func contents() throws(StoreError) -> Contents {
    try database.read { db in
      var contents = Contents()
      func isSound(_ row: Row, _ first: String, _ second: String, _ table: String) -> Bool {
        let stored: Int64 = row["checksum"]
        guard stored != Self.checksum(first, second) else { return true }
        contents.damage.append("an entry of \(table) is not what was written and is left out: \(first.prefix(80))")
        return false
      }
      for row in try Row.fetchAll(db, sql: "SELECT * FROM alerts ORDER BY id") {
        let alert = Alert(rule: row["rule"], body: row["body"])
        if isSound(row, alert.rule, alert.body, "alerts") { contents.alerts.append(alert) }
      }
      for row in try Row.fetchAll(db, sql: "SELECT * FROM events ORDER BY id") {
        let event = Event(number: row["id"], receiver: row["receiver"], body: row["body"])
        if isSound(row, event.receiver, event.body, "events") { contents.events.append(event) }
      }
      for row in try Row.fetchAll(db, sql: "SELECT * FROM notes") {
        let (name, value): (String, String) = (row["name"], row["value"])
        if isSound(row, name, value, "notes") { contents.notes[name] = value }
      }
      return contents
    }
  }

  /// Carries out a change. Returns the numbers of its events, in their order.
  public func commit(_ change: Change) throws(StoreError) -> [Int64] {
    try database.write { db in
      for (rule, bodies) in change.alerts {
        try db.execute(sql: "DELETE FROM alerts WHERE rule = ?", arguments: [rule])
        for body in bodies {
          try db.execute(
            sql: "INSERT INTO alerts (rule, body, checksum) VALUES (?, ?, ?)",
            arguments: [rule, body, Self.checksum(rule, body)])
        }
      }
      for transition in change.transitions {
        try db.execute(
          sql: "INSERT INTO transitions (at_ms, body, checksum) VALUES (?, ?, ?)",
          arguments: [transition.at, transition.body, Self.checksum(String(transition.at), transition.body)])
      }
      var numbers: [Int64] = []
      for event in change.events {
        try db.execute(
          sql: "INSERT INTO events (receiver, body, checksum) VALUES (?, ?, ?)",
          arguments: [event.receiver, event.body, Self.checksum(event.receiver, event.body)])
        numbers.append(db.lastInsertedRowID)
      }
      for number in change.doneEvents { try db.execute(sql: "DELETE FROM events WHERE id = ?", arguments: [number]) }
      for (name, value) in change.notes {
        try db.execute(
          sql: "INSERT OR REPLACE INTO notes (name, value, checksum) VALUES (?, ?, ?)",
          arguments: [name, value, Self.checksum(name, value)])
      }
      if !change.transitions.isEmpty { try Self.trim(db) }
      return numbers
    }
  }

  /// Bodies of transitions from `start` through `end`, newest first, at most `limit`; and how many are damaged.
  public func transitions(
    from start: Int64, through end: Int64, limit: Int
  ) throws(StoreError) -> (bodies: [String], damaged: Int) {
    try database.read { db in
      var bodies: [String] = []
      var damaged = 0
      let rows = try Row.fetchAll(
        db, sql: "SELECT * FROM transitions WHERE at_ms BETWEEN ? AND ? ORDER BY at_ms DESC, id DESC LIMIT ?",
        arguments: [start, end, min(limit, StoreLimits.alertTransitionsMax)])
      for row in rows {
        let (at, body, stored): (Int64, String, Int64) = (row["at_ms"], row["body"], row["checksum"])
        if stored == Self.checksum(String(at), body) { bodies.append(body) } else { damaged += 1 }
      }
      return (bodies, damaged)
    }
  }

  /// Keeps the history within its bound, oldest first out.
  private static func trim(_ db: Database) throws {
    let newest = db.lastInsertedRowID
    let last = try Int64.fetchOne(db, sql: "SELECT max(id) FROM transitions") ?? newest
    try db.execute(
      sql: "DELETE FROM transitions WHERE id <= ?", arguments: [last - Int64(StoreLimits.alertTransitionsMax)])
  }
}

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

    /// An alert of the rule with the key `rule`, as the caller encodes it.
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

    /// A transaction that changes nothing.
    public init() {}
  }

  private let database: StoreDatabase

  /// Opens or makes the file at `path`.
  ///
  /// - Throws: ``StoreError/damaged(path:message:)`` when SQLite finds it unsound.
  public init(path: String) throws(StoreError) {
    database = try StoreDatabase(
      path: path, version: StoreLimits.alertsVersion, migrations: [Self.createTables, Self.tellEventsApart])
    if let problem = try database.problem() { throw .damaged(path: path, message: problem) }
  }

  /// Opens or makes the file at `path`; a damaged one is made anew of its sound rows.
  ///
  /// - Parameter say: told when the file was damaged.
  public static func mended(path: String, say: (String) -> Void) throws(StoreError) -> AlertStore {
    let store = try Mending.open(
      path, say: say, open: { file throws(StoreError) in try AlertStore(path: file) },
      problems: { store throws(StoreError) in try store.problems() },
      refill: { store, rows throws(StoreError) in try store.refill(rows) }
    ).store
    if let damage = store.database.logDamage { say("\(damage); the last changes of alerts are told again") }
    return store
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

  /// Version 1 had the same checksum for an alert and an event of the same words.
  private static let tellEventsApart: @Sendable (Database) throws -> Void = { db in
    for row in try Row.fetchAll(db, sql: "SELECT id, receiver, body, checksum FROM events") {
      guard let id = row.integer(0), let receiver = row.text(1), let body = row.text(2),
        row.integer(3) == checksum(receiver, body)
      else { continue }
      try db.execute(
        sql: "UPDATE events SET checksum = ? WHERE id = ?", arguments: [checksum(eventMark + receiver, body), id])
    }
  }

  private static let eventMark = "event "

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
      func damaged(_ table: String, _ row: Row) {
        let name = row.text(table == "notes" ? 0 : 1) ?? "unreadable"
        contents.damage.append("an entry of \(table) is not what was written and is left out: \(name.prefix(80))")
      }
      for row in try Row.fetchAll(db, sql: "SELECT * FROM alerts ORDER BY id") {
        if let alert = Self.alert(SalvagedRow(row)) { contents.alerts.append(alert) } else { damaged("alerts", row) }
      }
      for row in try Row.fetchAll(db, sql: "SELECT * FROM events ORDER BY id") {
        if let id = row.integer(0), let event = Self.event(id, SalvagedRow(row)) {
          contents.events.append(event)
        } else {
          damaged("events", row)
        }
      }
      for row in try Row.fetchAll(db, sql: "SELECT * FROM notes") {
        if let (name, value) = Self.note(SalvagedRow(row)) {
          contents.notes[name] = value
        } else {
          damaged("notes", row)
        }
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
          arguments: [event.receiver, event.body, Self.checksum(Self.eventMark + event.receiver, event.body)])
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
        if let (_, body) = Self.transition(SalvagedRow(row)) { bodies.append(body) } else { damaged += 1 }
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

  // MARK: Rows, wherever they were found; `nil` when they are not what was written

  private static func alert(_ row: SalvagedRow) -> Alert? {
    guard row.values.count == 4, let rule = row.text(1), let body = row.text(2),
      row.integer(3) == checksum(rule, body)
    else { return nil }
    return Alert(rule: rule, body: body)
  }

  private static func event(_ id: Int64, _ row: SalvagedRow) -> Event? {
    guard row.values.count == 4, let receiver = row.text(1), let body = row.text(2),
      row.integer(3) == checksum(eventMark + receiver, body)
    else { return nil }
    return Event(number: id, receiver: receiver, body: body)
  }

  private static func note(_ row: SalvagedRow) -> (name: String, value: String)? {
    guard row.values.count == 3, let name = row.text(0), let value = row.text(1),
      row.integer(2) == checksum(name, value)
    else { return nil }
    return (name, value)
  }

  private static func transition(_ row: SalvagedRow) -> (at: Int64, body: String)? {
    guard row.values.count == 4, let at = row.integer(1), let body = row.text(2),
      row.integer(3) == checksum(String(at), body)
    else { return nil }
    return (at, body)
  }

  // MARK: Damage

  private func problems() throws(StoreError) -> [String] {
    let damaged = try transitions(from: .min, through: .max, limit: .max).damaged
    return try contents().damage + (damaged > 0 ? ["\(damaged) changes of alerts are damaged"] : [])
  }

  /// Puts the sound rows of a damaged file into this one, which is new; returns how many.
  private func refill(_ rows: SalvagedRows) throws(StoreError) -> Int {
    var taken = 0
    try database.write { db in
      try rows.eachRow { row in
        if let alert = Self.alert(row) {
          try db.execute(
            sql: "INSERT INTO alerts (rule, body, checksum) VALUES (?, ?, ?)",
            arguments: [alert.rule, alert.body, Self.checksum(alert.rule, alert.body)])
        } else if let id = row.rowid, let event = Self.event(id, row) {
          try db.execute(
            sql: "INSERT OR REPLACE INTO events (id, receiver, body, checksum) VALUES (?, ?, ?, ?)",
            arguments: [id, event.receiver, event.body, Self.checksum(Self.eventMark + event.receiver, event.body)])
        } else if let (at, body) = Self.transition(row) {
          try db.execute(
            sql: "INSERT INTO transitions (at_ms, body, checksum) VALUES (?, ?, ?)",
            arguments: [at, body, Self.checksum(String(at), body)])
        } else if let (name, value) = Self.note(row) {
          try db.execute(
            sql: "INSERT OR REPLACE INTO notes (name, value, checksum) VALUES (?, ?, ?)",
            arguments: [name, value, Self.checksum(name, value)])
        } else {
          return
        }
        taken += 1
      }
    }
    return taken
  }
}

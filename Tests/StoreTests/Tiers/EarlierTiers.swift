import Foundation
import GRDB

@testable import BongsuStore

/// Files of rollups as earlier releases wrote them.
enum EarlierTiers {
  /// Makes a file of the present version one of an earlier version.
  static func takeBack(_ store: TierStore, to version: Int) throws {
    try store.database.write { db in
      // Checksums did not begin with the table's name.
      for table in [TierTable.fresh, .carries, .fleets] {
        for row in try Row.fetchAll(db, sql: "SELECT \(table.key), body FROM \(table.rawValue)") {
          let (id, body): (Int64, Data) = (row[0], row[1])
          try db.execute(
            sql: "UPDATE \(table.rawValue) SET checksum = ? WHERE \(table.key) = ?",
            arguments: [TierStore.sum(.rows, id, bytes: Array(body)), id])
        }
      }
      try db.execute(sql: "DELETE FROM facts WHERE name LIKE 'groups-%'")
      for table in ["dirty", "minutes", "groups", "facts"] {
        try db.execute(sql: "ALTER TABLE \(table) DROP COLUMN checksum")
      }
      if version == 1 {
        try db.execute(
          sql: """
            DROP TABLE fleets; ALTER TABLE minutes DROP COLUMN fleet; ALTER TABLE dirty DROP COLUMN restates;
            """)
      }
      try db.execute(sql: "PRAGMA user_version = \(version)")
    }
  }
}

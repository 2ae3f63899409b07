import BongsuModel

/// The bounds of a fleet file. What lies outside is refused by name while the file is read, so that everything built
/// from a ``FleetTree`` can size its tables from it.
public enum Limits {
  /// Bytes in a fleet file; the national plan needs about 20,000.
  public static let fileBytesMax = 4 << 20
  /// Nodes of a nation: four times the national plan at four GPUs a node.
  public static let nodesMax = 1 << 18
  /// Racks, halls, factories, meters and allocations.
  public static let racksMax = 1 << 16
  public static let hallsMax = 4096
  public static let factoriesMax = 1024
  public static let metersMax = 4096
  public static let allocationsMax = 4096
  /// Levels of the allocation tree: `holder/programme/site/team` needs four.
  public static let allocationDepthMax = 8
  /// GPUs in one node: a rack-scale chassis behind one agent stays below.
  public static let gpusPerNodeMax = BongsuModel.Limits.devicesMax
  /// Names one pattern may stand for.
  public static let patternNamesMax = nodesMax
  /// Bytes in one pattern and in an identifier, a path or a display name.
  public static let patternBytesMax = 4096
  public static let identifierBytesMax = BongsuModel.Limits.nodeIDBytesMax
  public static let displayNameBytesMax = 200
  /// Dated memberships in one file, after patterns are expanded.
  public static let membershipsMax = 1 << 20
  /// Maintenance windows, carbon factors and models in one file.
  public static let maintenanceWindowsMax = 4096
  public static let carbonFactorsMax = 256
  public static let modelsMax = 256
  /// Findings kept for one file; the rest are counted.
  public static let findingsMax = 200
  /// Nesting of YAML collections; the format itself needs eight.
  public static let nestingMax = 32
  /// Values in one file, aliases counted each time they are used.
  public static let valuesMax = 1 << 20
  /// Largest power a fleet file may name, 5 GW in milliwatts, and for one GPU, 100 kW.
  public static let milliwattsMax: Int64 = 5_000_000_000_000
  public static let gpuMilliwattsMax: Int64 = 100_000_000
}

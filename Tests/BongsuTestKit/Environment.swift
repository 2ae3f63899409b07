private import Glibc

/// The environment variable `name`; `nil` when it is not set. Read anew at each call.
public func environment(_ name: String) -> String? {
  // SAFETY: getenv returns nil or a zero-terminated string; tests do not change the environment.
  unsafe getenv(name).map { unsafe String(cString: $0) }
}

/// How many inputs a long fuzz run takes, for each decoder: `BONGSU_FUZZ_INPUTS`; `nil` when none is asked for.
public let fuzzInputs = environment("BONGSU_FUZZ_INPUTS").flatMap(Int.init)

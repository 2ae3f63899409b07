import BongsuModel
import Foundation
import Testing

@testable import bongsu_facility_agent

@Suite("pages of dcgm-exporters")
struct DCGMPageTests {
  static func page(_ name: String) throws -> DCGMPage {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Pages/\(name).prom")
    let text = ExpositionText(parsing: try String(contentsOf: file, encoding: .utf8))
    #expect(text.badLines == 0, "\(text.firstBadLine ?? "")")
    return DCGMPage(text)
  }

  struct Expected: Sendable {
    let page: String
    let host: String
    let gpus: Int
    let milliwatts: Int64
    let millijoules: Int64?
    let usedKibibytes: Int64?
    let celsius: Int64
  }

  @Test(
    "every recorded page gives the right readings; however many instances a board has, its power counts once",
    arguments: [
      Expected(
        page: "a100-mig-4-active", host: "nvidia-dcgm-exporter-tl46n", gpus: 1, milliwatts: 112_252,
        millijoules: 6_890_956, usedKibibytes: (6 + 4384 + 6 + 13) * 1024, celsius: 35),
      Expected(
        page: "a100-mig-mixed", host: "nvidia-dcgm-exporter-q28k4", gpus: 1, milliwatts: 116_163,
        millijoules: 57_585_599, usedKibibytes: (98 + 4384 + 153) * 1024, celsius: 37),
      Expected(
        page: "a100-mig-enabled-empty", host: "nvidia-dcgm-exporter-wwvv9", gpus: 1, milliwatts: 75_960,
        millijoules: 8_981_778, usedKibibytes: nil, celsius: 32),
      Expected(
        page: "a100-mig-disabled-idle", host: "nvidia-dcgm-exporter-drqwq", gpus: 1, milliwatts: 45_999,
        millijoules: 424_405_577, usedKibibytes: 0, celsius: 29),
      Expected(
        page: "h100x8-pod-labels-excerpt", host: "gpu-node-1", gpus: 8, milliwatts: 113_611, millijoules: nil,
        usedKibibytes: nil, celsius: 30),
    ])
  func recorded(expected: Expected) throws {
    let page = try Self.page(expected.page)
    #expect(Array(page.hosts.keys) == [expected.host])
    let reading = try #require(page.hosts[expected.host])
    #expect(reading.gpus.count == expected.gpus && reading.node.isEmpty)
    let first = try #require(reading.gpus.values.first { $0.index == 0 })
    #expect(first.values[.gpuPower] == expected.milliwatts)
    #expect(first.values[.gpuEnergy] == expected.millijoules)
    #expect(first.values[.gpuMemoryUsed] == expected.usedKibibytes)
    #expect(first.values[.gpuTemperature] == expected.celsius * 10)
    #expect(first.model.hasPrefix("NVIDIA "))
    #expect(reading.gpus.keys.allSatisfy { $0.hasPrefix("GPU-") })
  }

  @Test("eight GPUs with and without pod labels keep their numbers and powers")
  func eight() throws {
    let reading = try #require(try Self.page("h100x8-pod-labels-excerpt").hosts["gpu-node-1"])
    let powers = reading.gpus.values.sorted { $0.index < $1.index }.map { $0.values[.gpuPower] }
    #expect(powers == [113_611, 68_347, 65_709, 67_316, 68_717, 65_742, 67_328, 66_997])
  }

  @Test("new names, the new host label and the old namespace's uuid mean the same")
  func renamed() throws {
    let page = DCGMPage(
      ExpositionText(
        parsing: """
          DCGM_FI_DEV_BOARD_POWER_WATTS{gpu="3",uuid="GPU-1",modelName="NVIDIA B200",hostname="n1"} 512.25
          DCGM_FI_DEV_BOARD_POWER_RAW_WATTS{gpu="3",UUID="GPU-1",hostname="n1"} 530
          DCGM_FI_DEV_BOARD_POWER_LIMIT_ENFORCED_WATTS{gpu="3",UUID="GPU-1",hostname="n1"} 1000
          DCGM_FI_DEV_GPU_TEMP_CELSIUS{gpu="3",UUID="GPU-1",hostname="n1"} 51
          DCGM_FI_DEV_MEMORY_TEMP_CELSIUS{gpu="3",UUID="GPU-1",hostname="n1"} 60
          DCGM_FI_DEV_GPU_TEMP_MARGIN_CELSIUS{gpu="3",UUID="GPU-1",hostname="n1"} 34
          DCGM_FI_DEV_GPU_UTIL_RATIO{gpu="3",UUID="GPU-1",hostname="n1"} 97
          DCGM_FI_DEV_CPU_POWER_WATTS{cpu="0",hostname="n1"} 140.5
          DCGM_FI_DEV_CPU_POWER_WATTS{cpu="1",hostname="n1"} 150
          DCGM_FI_DEV_POWER_USAGE{gpu="4",UUID="GPU-2",hostname="n2"} NaN
          DCGM_FI_DEV_POWER_USAGE{gpu="4",hostname="n2"} 1
          """))
    #expect(page.hosts.keys.sorted() == ["n1"])
    let reading = try #require(page.hosts["n1"])
    let gpu = try #require(reading.gpus["GPU-1"])
    #expect(gpu.index == 3)
    #expect(
      gpu.values == [
        .gpuPower: 512_250, .gpuPowerInstant: 530_000, .gpuPowerLimit: 1_000_000, .gpuTemperature: 510,
        .gpuMemoryTemperature: 600, .gpuTemperatureMargin: 340, .gpuUtilization: 970,
      ])
    #expect(reading.node == [.nodeCPUPower: 290_500])
  }

  @Test("a line about the whole GPU wins over its instances', and pods that share a GPU do not multiply it")
  func wholeWins() {
    let page = DCGMPage(
      ExpositionText(
        parsing: """
          DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-1",GPU_I_ID="7"} 10
          DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-1",GPU_I_ID=""} 90
          DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-1",pod="a"} 300
          DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-1",pod="b"} 300
          """))
    #expect(page.hosts[""]?.gpus["GPU-1"]?.values == [.gpuMemoryUsed: 90 * 1024, .gpuPower: 300_000])
  }
}

@Suite("pages of metrics")
struct ExpositionTextTests {
  @Test("labels with escapes, timestamps, exemplars and special numbers are read")
  func samples() {
    let text = ExpositionText(
      parsing: """
        # HELP a b
        a 1
          b{ x = "1" , y="q\\"\\\\\\n}," } -2.5e3 1700000000000
        c_total{z="é"} 3 # {trace="1"} 0.5
        d +Inf
        # EOF
        """)
    #expect(text.badLines == 0)
    #expect(text.samples.map(\.name) == ["a", "b", "c_total", "d"])
    #expect(text.samples[1].labels == ["x": "1", "y": "q\"\\\n},"] && text.samples[1].value == -2500)
    #expect(text.samples[2].labels["z"] == "é" && text.samples[3].value == .infinity)
  }

  @Test(
    "a line that is none is counted and costs no other",
    arguments: ["1a 2", "a", "a x", "a{b} 1", "a{b=1} 1", "a{b=\"1} 1", "a{b=\"1\" c=\"2\"} 1", "<html>", "a{b=\"\\"])
  func bad(line: String) {
    let text = ExpositionText(parsing: "good 1\n\(line)\ngood 2\n")
    #expect(text.samples.count == 2 && text.badLines == 1 && text.firstBadLine == line)
  }

  @Test("bytes of any kind never stop it")
  func anything() {
    var state: UInt64 = 7
    for _ in 0..<500 {
      var bytes: [UInt8] = Array("a{b=\"c\"} 1\n".utf8)
      for _ in 0..<4 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        bytes[Int(state >> 33) % bytes.count] = UInt8(truncatingIfNeeded: state >> 40)
      }
      #expect(ExpositionText(parsing: String(decoding: bytes, as: UTF8.self)).samples.count <= 5)
    }
  }
}

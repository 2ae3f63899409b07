#!/usr/bin/env python3
"""Reads the library that stands in for NVIDIA's with NVIDIA's own Python binding (nvidia-ml-py).

    LD_LIBRARY_PATH=FOLDER FAKE_NVML_FREEZE_US=N compare.py SINCE_US

FOLDER holds the stand-in as libnvidia-ml.so.1, time is frozen at N, and SINCE_US is the instant after which power samples
count. Prints one line for each reading, in the wire units of the agent:

    uuid metric value            "absent" where the binding says that it is not supported
    uuid by-link-transmit KIB    the sum over NVLinks of a GPU that counts them one by one; by-link-receive likewise
    xid gpu number               an XID error that the binding was told of

The structures are the binding's, so a wrong layout, version, value type or unit in the stand-in shows up as a wrong number
here, and one in the agent as a difference. Also checks what the binding expects of calls that the agent does not make.
"""

import ctypes
import sys

import pynvml as nvml

ALL_LINKS = 0xFFFFFFFF


def supported(call):
    """The call's result, None where the binding says "not supported" or that the function is missing."""
    try:
        return call()
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound):
        return None


def field(handle, number, scope):
    """One field's value by its type, None where it is not supported."""
    value = nvml.nvmlDeviceGetFieldValues(handle, [(number, scope)])[0]
    if value.nvmlReturn in (nvml.NVML_ERROR_NOT_SUPPORTED, nvml.NVML_ERROR_INVALID_ARGUMENT):
        return None
    assert value.nvmlReturn == nvml.NVML_SUCCESS, value.nvmlReturn
    assert value.fieldId == number and value.scopeId == scope
    assert value.timestamp > 0 and value.latencyUsec >= 0
    members = {
        nvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
        nvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
        nvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
        nvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
        nvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
        nvml.NVML_VALUE_TYPE_SIGNED_INT: "siVal",
        nvml.NVML_VALUE_TYPE_UNSIGNED_SHORT: "usVal",
    }
    return getattr(value.value, members[value.valueType])


def power_samples(handle, since):
    kind, samples = nvml.nvmlDeviceGetSamples(handle, nvml.NVML_TOTAL_POWER_SAMPLES, since)
    assert kind == nvml.NVML_VALUE_TYPE_UNSIGNED_INT
    newer = [sample.sampleValue.uiVal for sample in samples if sample.timeStamp > since]
    times = [sample.timeStamp for sample in samples]
    assert times == sorted(times) and len(set(times)) == len(times)
    return newer


def readings(handle, since):
    """Metric names without their prefix, and values in wire units."""
    samples = supported(lambda: power_samples(handle, since))
    average = field(handle, nvml.NVML_FI_DEV_POWER_AVERAGE, 0)
    architecture = nvml.nvmlDeviceGetArchitecture(handle)
    chip = nvml.nvmlDeviceGetPciInfo(handle).pciDeviceId >> 16
    usage = nvml.nvmlDeviceGetPowerUsage(handle)
    averages = architecture >= nvml.NVML_DEVICE_ARCH_AMPERE and not 0x20B0 <= chip <= 0x20FF
    mean = (sum(samples) + len(samples) // 2) // len(samples)
    utilization = supported(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
    memory = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
    assert memory.total == memory.used + memory.free + memory.reserved
    margin = supported(lambda: nvml.nvmlDeviceGetMarginTemperature(handle))
    celsius = nvml.nvmlDeviceGetTemperatureV(handle, nvml.NVML_TEMPERATURE_GPU)
    assert celsius == nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
    memory_celsius = field(handle, nvml.NVML_FI_DEV_MEMORY_TEMP, 0)
    reasons = nvml.nvmlDeviceGetCurrentClocksEventReasons(handle)
    assert reasons == nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
    energy = nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    assert energy == field(handle, nvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, 0)
    errors = nvml.nvmlDeviceGetTotalEccErrors(
        handle, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC)
    assert errors == field(handle, nvml.NVML_FI_DEV_ECC_DBE_VOL_TOTAL, 0)
    return {
        "power_watts": average if average is not None else usage if averages else mean,
        "power_instant_watts": field(handle, nvml.NVML_FI_DEV_POWER_INSTANT, 0),
        "power_min_watts": min(samples),
        "power_max_watts": max(samples),
        "power_limit_watts": nvml.nvmlDeviceGetEnforcedPowerLimit(handle),
        "energy_joules_total": energy,
        "utilization_ratio": None if utilization is None else utilization.gpu * 10,
        "memory_utilization_ratio": None if utilization is None else utilization.memory * 10,
        "memory_used_bytes": memory.used // 1024,
        "memory_total_bytes": memory.total // 1024,
        "temperature_celsius": celsius * 10,
        "memory_temperature_celsius": None if memory_celsius is None else memory_celsius * 10,
        "temperature_margin_celsius": None if margin is None else margin * 10,
        "sm_clock_hertz": nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
        "memory_clock_hertz": nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM),
        "clock_event_reasons": reasons,
        "ecc_uncorrected_total": errors,
        "nvlink_transmit_bytes_total": field(handle, nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, ALL_LINKS),
        "nvlink_receive_bytes_total": field(handle, nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, ALL_LINKS),
    }


def check_borders(handle, index):
    """What the binding insists on besides values."""
    assert nvml.nvmlDeviceGetPciInfo(handle).busId == "00000000:%02X:00.0" % (0x53 + index * 8)
    platform = nvml.c_nvmlPlatformInfo_v2_t()
    nvml.nvmlDeviceGetPlatformInfo(handle, ctypes.byref(platform))
    assert ord(platform.moduleId) == index + 1
    chassis = platform.chassisSerialNumber
    assert bool(chassis) == (ord(platform.trayIndex) == 5) == (ord(platform.slotNumber) == 9), chassis
    assert nvml.nvmlDeviceGetMigMode(handle)[0] in (0, 1)
    assert nvml.nvmlDeviceGetSupportedEventTypes(handle) & nvml.nvmlEventTypeXidCriticalError
    events = nvml.nvmlEventSetCreate()
    nvml.nvmlDeviceRegisterEvents(handle, nvml.nvmlEventTypeXidCriticalError, events)
    try:
        nvml.nvmlEventSetWait_v2(events, 0)
        raise AssertionError("an event without a cause")
    except nvml.NVMLError_Timeout:
        pass
    nvml.nvmlEventSetFree(events)
    count = field(handle, nvml.NVML_FI_DEV_NVLINK_LINK_COUNT, 0)
    stand_in.fakeNvmlSet(b"link_bytes", index, ctypes.c_longlong(1))
    assert field(handle, nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, ALL_LINKS) is None
    for name, number in (("transmit", nvml.NVML_FI_DEV_NVLINK_COUNT_XMIT_BYTES),
                         ("receive", nvml.NVML_FI_DEV_NVLINK_COUNT_RCV_BYTES)):
        assert field(handle, number, count) is None
        sums = sum(field(handle, number, link) for link in range(count))
        print(nvml.nvmlDeviceGetUUID(handle), "by-link-" + name, sums // 1024)
    stand_in.fakeNvmlSet(b"link_bytes", index, ctypes.c_longlong(0))
    unknown = nvml.nvmlDeviceGetFieldValues(handle, [60000])[0]
    assert unknown.nvmlReturn == nvml.NVML_ERROR_INVALID_ARGUMENT


def check_events():
    """Each set gets the errors that come after the GPU was registered in it, once; others get none."""
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(2)]
    stand_in.fakeNvmlSet(b"xid", 1, ctypes.c_longlong(13))
    sets = [nvml.nvmlEventSetCreate() for _ in range(3)]
    for events in sets[:2]:
        nvml.nvmlDeviceRegisterEvents(handles[1], nvml.nvmlEventTypeXidCriticalError, events)
    nvml.nvmlDeviceRegisterEvents(handles[0], nvml.nvmlEventTypeXidCriticalError, sets[2])
    stand_in.fakeNvmlSet(b"xid", 1, ctypes.c_longlong(79))
    for position, events in enumerate(sets):
        seen = []
        try:
            while True:
                data = nvml.nvmlEventSetWait_v2(events, 10)
                assert data.eventType == nvml.nvmlEventTypeXidCriticalError
                assert nvml.nvmlDeviceGetUUID(data.device) == nvml.nvmlDeviceGetUUID(handles[1])
                seen.append(data.eventData)
        except nvml.NVMLError_Timeout:
            pass
        assert seen == ([79] if position < 2 else []), seen
        nvml.nvmlEventSetFree(events)
    print("xid", 1, 79)


stand_in = ctypes.CDLL("libnvidia-ml.so.1")


def main():
    since = int(sys.argv[1])
    nvml.nvmlInit()
    boards = {}
    for index in range(nvml.nvmlDeviceGetCount()):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        uuid = nvml.nvmlDeviceGetUUID(handle)
        check_borders(handle, index)
        for metric, value in readings(handle, since).items():
            print(uuid, "bongsu_gpu_" + metric, "absent" if value is None else value)
        board = field(handle, nvml.NVML_FI_DEV_POWER_AVERAGE, 1)
        if board is not None:
            boards[nvml.nvmlDeviceGetSerial(handle)] = board
    check_events()
    for serial, milliwatts in boards.items():
        print(serial, "bongsu_module_power_watts", milliwatts)
    nvml.nvmlShutdown()


main()

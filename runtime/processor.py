"""What a processor can do, as far as the code of a program depends on it."""

from __future__ import annotations

FLAGS = ("flags", "Features")
"""Keys of /proc/cpuinfo on x86 and on Arm; every processor's entry of one machine says the same."""

# fmt: off
_NOT_FOR_PROGRAMS = frozenset([
    # How the kernel keeps time, saves power and names what it found out.
    "acc_power", "acpi", "amd_lbr_v2", "amd_lbr_pmc_freeze", "aperfmperf", "apic", "arat",
    "arch_perfmon", "art", "bts", "cat_l2", "cat_l3", "cdp_l2", "cdp_l3", "cmp_legacy",
    "constant_tsc", "cpb", "cpuid", "cppc", "cqm", "cqm_llc", "cqm_mbm_local", "cqm_mbm_total",
    "cqm_occup_llc", "cr8_legacy", "dca", "debug_swap", "ds_cpl", "dtes64", "dtherm", "dts", "epb",
    "est", "extapic", "extd_apicid", "flush_l1d", "hfi", "ht", "htt", "hw_pstate", "hwp",
    "hwp_act_window", "hwp_epp", "hwp_notify", "hwp_pkg_req", "hypervisor", "ibs", "ida",
    "intel_ppin", "intel_pt", "lbrv", "mba", "mbm", "mca", "mce", "monitor", "mtrr",
    "nonstop_tsc", "nonstop_tsc_s3", "nopl", "nrip_save", "osvw", "pat", "pbe", "pdcm", "pebs",
    "perfctr_core", "perfctr_llc", "perfctr_nb", "perfmon_v2", "pge", "pln", "proc_feedback",
    "pse", "pse36", "ptsc", "pts", "rapl", "rdt_a", "rep_good", "skinit", "smx", "succor", "ss",
    "tce", "tm", "tm2", "topoext", "tsc_adjust", "tsc_deadline_timer", "tsc_known_freq",
    "tsc_reliable", "up", "vme", "wdt", "x2apic", "xtopology", "xtpr",
    # Virtual machines.
    "avic", "decodeassists", "ept", "ept_ad", "flexpriority", "flushbyasid", "npt",
    "pausefilter", "pfthreshold", "sev", "sev_es", "sev_snp", "sme", "svm", "svm_lock",
    "tdx_guest", "tpr_shadow", "tsc_scale", "v_spec_ctrl", "v_vmsave_vmload", "vgif", "vmcb_clean",
    "vmmcall", "vmx", "vnmi", "vpid", "x2avic",
    # Guards against side channels, which come and go with microcode and boot options.
    "amd_ibpb_ret", "amd_ppin", "arch_capabilities", "btc_no", "core_capabilities",
    "ibpb", "ibpb_brtype", "ibrs", "ibrs_enhanced", "ibt", "invpcid_single", "kaiser", "md_clear",
    "pti", "retpoline", "rrsba_ctrl", "sbpb", "spec_ctrl", "split_lock_detect", "ssbd", "stibp",
    "intel_stibp", "stibp_always_on", "virt_ssbd",
    # Protection that only the kernel turns on.
    "nx", "pcid", "smap", "smep", "umip",
])
# fmt: on
"""Features that no program's code depends on. One that is not listed counts.

Source: https://github.com/torvalds/linux/blob/v6.12/arch/x86/include/asm/cpufeatures.h
"""


def features_of(cpuinfo: str) -> tuple[str, ...]:
    """The features of a processor that a program's code may depend on, sorted.

    Args:
        cpuinfo: The text of ``/proc/cpuinfo``, or its first processor's.
    """
    return tuple(sorted(set(field_of(cpuinfo, FLAGS).split()) - _NOT_FOR_PROGRAMS))


def field_of(cpuinfo: str, names: tuple[str, ...]) -> str:
    """The first value of one of these keys; empty where none is there."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in names:
            return value.strip()
    return ""

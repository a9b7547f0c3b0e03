//! Signals of Linux, by name or number (`signal(7)`).

const NAMES: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "RTMAX", "RTMIN", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// Whether `text` names a signal: any number but 0, or a name in any case, with or without `SIG`.
pub(super) fn is_known(text: &str) -> bool {
    if let Ok(number) = text.parse::<i32>() {
        return number != 0;
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let real_time = |first: &str, last: u8| {
        name.strip_prefix(first).is_some_and(|offset| (1..=last).any(|known| known.to_string() == offset))
    };
    NAMES.contains(&name) || real_time("RTMIN+", 15) || real_time("RTMAX-", 14)
}

#[cfg(test)]
mod tests {
    use super::is_known;

    #[test]
    fn names_and_numbers() {
        for signal in ["SIGTERM", "term", "9", "SIGRTMIN+3", "RTMAX-14", "rtmin"] {
            assert!(is_known(signal), "{signal}");
        }
        for stranger in ["", "0", "SIG", "SIGTERMINATE", "RTMIN+16", "RTMIN+", "RTMIN+03", "RTMIN++1", "RTMAX-15"] {
            assert!(!is_known(stranger), "{stranger}");
        }
    }
}

use super::*;

fn cut(rows: usize, most: usize, lengths: Vec<usize>, limit: usize) -> Cut {
    Cut { rows, limit, most, lengths }
}

#[test]
fn statements_are_powers_of_two_until_a_size_repeats() {
    let repeated = Repeated::default();
    let thousand = cut(1_000, 1_638, Vec::new(), 0);
    for _ in 0..3 {
        assert_eq!(thousand.statements(&repeated), [512, 256, 128, 64, 32, 8]);
    }
    assert_eq!(thousand.statements(&repeated), [1_000]);
    let ends = cut(7, 1_638, Vec::new(), 0);
    assert_eq!(ends.statements(&repeated), [4, 2, 1]);
    let long = cut(20_000, 1_638, Vec::new(), 0);
    let before = long.statements(&repeated);
    assert_eq!(before.iter().sum::<usize>(), 20_000);
    assert!(before.iter().all(|rows| rows.is_power_of_two() && *rows <= 1_638));
    for _ in 0..20 {
        long.statements(&repeated);
    }
    let own = long.statements(&repeated);
    assert_eq!(own.iter().sum::<usize>(), 20_000);
    assert_eq!((own[0], own.len()), (1_538, 15));
}

#[test]
fn packets_hold_what_fits() {
    let lengths = vec![4, 4, 4, 9, 12, 1, 1];
    let seven = cut(7, 100, lengths, 10);
    assert_eq!(seven.packets(), [2, 1, 1, 1, 2]);
    assert_eq!(seven.statements(&Repeated::default()), [2, 1, 1, 1, 2]);
    assert_eq!(cut(7, 100, Vec::new(), 10).packets(), [7]);
}

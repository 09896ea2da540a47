//! Dead letters written again.

use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use batchflow_core::dead_letter::{DeadLetter, DeadLetterSink, FileSink};
use batchflow_core::testing::{Blame, Fault};
use batchflow_core::{
    BatchWriter, ConflictStrategy, ErrorKind, Merge, ReplayFault, Request, RowError, Schema, Value,
    WriteError,
};

use super::{Driver, driver, row, rows, schema, table, writer};

#[tokio::test]
async fn a_file_of_dead_letters_is_replayed_once_its_cause_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    let ill = driver();
    let odd = |row: &Request| row.get::<i64>("id").is_ok_and(|id| id.is_some_and(|id| id % 2 == 1));
    ill.inner().refuse(ErrorKind::Constraint, Blame::Every, odd);
    let sink = FileSink::append(&path).unwrap().with_fsync(false);
    let writer = BatchWriter::builder(Arc::clone(&ill)).dead_letters(sink).build().unwrap();
    let schema = schema(ConflictStrategy::Fail);
    let first = writer.write(rows(&schema, 20)).await.unwrap();
    assert_eq!((first.written(), first.rejected()), (10, 10));

    // Refused again, into the very file that is read: it ends all the same.
    let again = writer.replay(&path).await.unwrap();
    assert_eq!((again.rows().submitted(), again.rows().rejected()), (10, 10));

    // Of these ten nobody knows whether they are in the table.
    ill.inner().script([Fault::LoseAnswer(WriteError::new(ErrorKind::Connection))]);
    let even = (100..120).step_by(2).map(|id| row(&schema, id));
    assert_eq!(writer.write(even).await.unwrap().unknown(), 10);
    drop(writer);
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str("{\"v\":1,\"subm");
    std::fs::write(&path, text).unwrap();

    let well = driver();
    let healed = BatchWriter::builder(Arc::clone(&well)).build().unwrap();
    let half = |letter: &DeadLetter| {
        let seen_twice = letter.submission() < 10;
        !seen_twice && matches!(letter.error(), RowError::Rejected(_))
    };
    let chosen = healed.replay_where(&path, half).await.unwrap();
    assert_eq!((chosen.rows().submitted(), chosen.left_out()), (10, 20));
    assert_eq!((chosen.rows().written(), chosen.rows().rejected()), (5, 5), "each stands twice");
    assert_eq!(well.inner().inner().len("t"), 5);
    let all = healed.replay(&path).await.unwrap();
    assert_eq!((all.left_out(), all.unreadable()), (10, 1));
    assert!(all.bad_lines()[0].to_string().contains("line 31: it is cut short"));
    assert!(healed.replay(folder.path().join("none")).await.is_err());
}

/// Adds 1 to the hits of each row, so that a row written twice shows.
async fn letters_that_add(path: &Path, ids: Range<i64>) {
    let builder = Schema::builder("t").columns(["id", "hits"]).key(["id"]);
    let builder = builder.on_conflict(ConflictStrategy::Update).merge("hits", Merge::Add);
    let schema = builder.build().unwrap();
    let letter = |id: i64| {
        let error = RowError::Rejected(WriteError::new(ErrorKind::Data));
        DeadLetter::new(id as u64, schema.row((id, 1_i64)).unwrap(), error)
    };
    let sink = FileSink::append(path).unwrap().with_fsync(false);
    sink.deliver(&mut ids.map(letter).collect()).await.unwrap();
}

fn hits(driver: &Driver, ids: Range<i64>) -> Vec<Option<Value>> {
    ids.map(|id| table(driver).value("t", [id], "hits")).collect()
}

#[tokio::test]
async fn promise_8_a_replay_that_stopped_goes_on_and_writes_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    letters_that_add(&path, 0..400).await;
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"?\n\n").unwrap();
    letters_that_add(&path, 400..500).await;
    let driver = driver();
    // The second batch is written by halves.
    driver.inner().script([
        Fault::Pass,
        Fault::Partial(ErrorKind::Permission.into()),
        Fault::fail(ErrorKind::Schema),
    ]);
    let writer = BatchWriter::builder(Arc::clone(&driver)).batch_size(150).build().unwrap();
    let odd_ones = |letter: &DeadLetter| letter.submission() != 499;
    let stopped = writer.replay_where(&path, odd_ones).await.unwrap_err();
    assert!(stopped.to_string().starts_with("stopped before line 301: permission"), "{stopped}");
    assert_eq!((stopped.next_line(), stopped.rest().len()), (301, 75));
    assert!(stopped.rest().iter().all(|row| matches!(row.error(), RowError::NotSent(_))));
    assert_eq!((stopped.rest()[0].submission(), stopped.summary().rows().written()), (151, 225));
    // What is added meanwhile is not part of it.
    letters_that_add(&path, 500..510).await;
    let stopped = writer.resume_replay_where(stopped, odd_ones).await.unwrap_err();
    assert!(matches!(stopped.fault(), ReplayFault::Write(e) if e.kind() == ErrorKind::Schema));
    assert_eq!((stopped.next_line(), stopped.rest().len()), (301, 75));
    let done = writer.resume_replay_where(stopped, odd_ones).await.unwrap();
    assert_eq!((done.rows().submitted(), done.rows().written()), (499, 499));
    assert_eq!((done.left_out(), done.unreadable()), (1, 1));
    assert!(done.bad_lines()[0].to_string().contains("line 401"));
    assert_eq!(hits(&driver, 0..499), vec![Some(Value::I64(1)); 499]);
    assert_eq!(table(&driver).len("t"), 499);
}

/// The other way to go on, for a program that ends: the rest and the lines after it, in a file.
#[tokio::test]
async fn promise_8_what_a_stopped_replay_left_is_replayed_from_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let [path, left] = ["letters", "left"].map(|name| folder.path().join(name));
    letters_that_add(&path, 0..10).await;
    let driver = driver();
    driver.inner().script([Fault::Pass, Fault::fail(ErrorKind::Permission)]);
    let writer = || BatchWriter::builder(Arc::clone(&driver)).batch_size(4).build().unwrap();
    let stopped = writer().replay(&path).await.unwrap_err();
    FileSink::create(&left).unwrap().deliver(&mut stopped.rest().into()).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text.split_inclusive('\n').skip(stopped.next_line() as usize - 1);
    let mut file = std::fs::OpenOptions::new().append(true).open(&left).unwrap();
    lines.for_each(|line| file.write_all(line.as_bytes()).unwrap());
    let done = writer().replay(&left).await.unwrap();
    assert_eq!((done.rows().written(), done.unreadable()), (6, 0));
    assert_eq!(hits(&driver, 0..10), vec![Some(Value::I64(1)); 10]);
}

/// A file that cannot be read: what was read before is written, and told.
#[cfg(unix)]
#[tokio::test]
async fn a_replay_whose_file_breaks_says_what_was_done_and_goes_on_when_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    // A folder is opened, and not read.
    std::fs::create_dir(&path).unwrap();
    let driver = driver();
    let writer = writer(&driver, 10, 1);
    let stopped = writer.replay(&path).await.unwrap_err();
    assert!(matches!(stopped.fault(), ReplayFault::File(_)));
    assert_eq!((stopped.next_line(), stopped.rest().len()), (1, 0));
    assert_eq!(stopped.summary().rows().submitted(), 0);
    std::fs::remove_dir(&path).unwrap();
    letters_that_add(&path, 0..3).await;
    assert_eq!(writer.resume_replay(stopped).await.unwrap().rows().written(), 3);
}

/// A row that may have been applied stays so, however often the replay goes on.
#[tokio::test(start_paused = true)]
async fn promise_2_a_row_in_doubt_is_not_called_rejected_after_a_replay_went_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    let request = row(&schema(ConflictStrategy::Ignore), 7);
    let error = RowError::Rejected(WriteError::new(ErrorKind::Data));
    let sink = FileSink::create(&path).unwrap();
    sink.deliver(&mut [DeadLetter::new(7, request, error)].into()).await.unwrap();
    let driver = driver();
    let lost = Fault::LoseAnswer(WriteError::new(ErrorKind::Connection));
    driver.inner().script([lost, Fault::fail(ErrorKind::Permission)]);
    let writer = writer(&driver, 10, 1);
    let stopped = writer.replay(&path).await.unwrap_err();
    assert!(matches!(stopped.rest()[0].error(), RowError::Unknown(_)), "{stopped}");
    driver.inner().refuse(ErrorKind::Constraint, Blame::Nobody, |_| true);
    let done = writer.resume_replay(stopped).await.unwrap();
    assert_eq!((done.rows().unknown(), done.rows().rejected()), (1, 0));
}

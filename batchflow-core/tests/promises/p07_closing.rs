//! Promise 7: cancel first, and what a close does.

use std::sync::Arc;

use batchflow_core::testing::MemoryDriver;
use batchflow_core::{BatchFlow, BatchWriter};

use crate::support::{Owned, SECOND, row, users};

#[tokio::test(start_paused = true)]
async fn promise_7_a_flow_or_writer_closes_its_driver_once_and_a_shared_one_with_the_last() {
    let driver = Arc::new(MemoryDriver::new());
    let flow = BatchFlow::builder(Owned(driver.clone())).build().unwrap();
    flow.submit(row(&users(), 1, "Ada")).await.unwrap();
    let (first, second) = tokio::join!(flow.close(), flow.close());
    assert!(first.unwrap().all_written() && second.unwrap().all_written());
    assert_eq!(driver.closed(), 1);

    BatchWriter::builder(Owned(driver.clone())).build().unwrap().close().await;
    assert_eq!(driver.closed(), 2);

    let shared = Arc::new(Owned(driver.clone()));
    let [one, two] =
        [shared.clone(), shared].map(|driver| BatchFlow::builder(driver).build().unwrap());
    assert!(one.close().await.unwrap().all_written());
    drop(one);
    tokio::time::sleep(SECOND).await;
    assert_eq!(driver.closed(), 2, "the other flow still writes through it");
    assert!(two.close().await.unwrap().all_written());
    assert_eq!(driver.closed(), 3);
}

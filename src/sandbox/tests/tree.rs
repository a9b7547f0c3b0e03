use super::Image;

#[test]
fn a_program_says_hello() {
    let Some(mut image) = Image::busybox() else { return };
    assert_eq!(image.sh("echo hello").text(), "hello\n");
}

//! All that is wrong with a file in which something is wrong.
//!
//! Reading, planning and resolving each stop at their errors, because the next would have to guess. Once it is certain that there
//! will be no build, guessing does no harm: the file is planned and lowered as far as it can be, with the rest taken for
//! unknown, and only the errors are kept. A step that names a variable which an unknown image, or a line that could not be read,
//! may define is left out, so that no error is the mere consequence of another.

use super::{
    Dockerfile, Lost,
    inputs::{Inputs, Options},
    plan::Plan,
};
use crate::diagnostic::{Diagnostic, sorted};

impl Dockerfile {
    /// The errors that were `found`, and all others that can be told of, in the order of the file. Where stages could not be
    /// read, there are no others: everything behind would be one.
    pub fn survey(&self, options: &Options, inputs: &Inputs, found: Vec<Diagnostic>) -> Vec<Diagnostic> {
        let mut errors = found;
        if self.lost < Lost::Stages {
            for target in options.targets() {
                let (plan, wrong) = Plan::survey(self, options, inputs, target);
                errors.extend(wrong);
                errors.extend(self.survey_plan(options, inputs, target, &plan));
            }
        }
        sorted(errors)
    }
}

//! Nightjar's host tool: `try` runs the whole product on this machine, `model fetch` brings
//! the model. What goes wrong ends in one line and an exit code: 2 for wrong use, else 1.

mod args;
mod boot;
mod build;
mod card;
mod clock;
mod failure;
mod flash;
mod model;
mod program;
mod screen;
mod signing;
mod status;
mod tool;
mod trial;
mod update;
mod whole;

use args::Command;
use failure::Failure;
use screen::Screen;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

fn main() -> ExitCode {
    let screen = Arc::new(Mutex::new(Screen::new()));
    let done = Command::from_args(lexopt::Parser::from_env()).and_then(|it| run(it, &screen));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            screen::lock(&screen).complain(&failure);
            failure.exit_code()
        }
    }
}

fn run(command: Command, screen: &Arc<Mutex<Screen>>) -> Result<(), Failure> {
    match command {
        Command::Help(text) => screen::lock(screen).say(text),
        Command::Version => {
            let version = concat!("nightjar ", env!("CARGO_PKG_VERSION"));
            screen::lock(screen).say(version);
        }
        Command::ModelFetch(source) => {
            let path = model::fetch(&source, screen)?;
            screen::lock(screen).say(&format!("The model is at {}", path.display()));
        }
        Command::Build(options) => build::run(&options, screen)?,
        Command::Boot(options) => boot::run(&options, screen)?,
        Command::Sign(order) => order.run(screen)?,
        Command::Image(order) => {
            card::order(&order)?;
            screen::lock(screen).say(&format!("The card's image is {}", order.out.display()));
        }
        Command::Flash(options) => flash::run(&options, screen)?,
        Command::Try(options) => trial::run(&options, screen)?,
        Command::Update(options) => update::run(&options, screen)?,
    }
    Ok(())
}

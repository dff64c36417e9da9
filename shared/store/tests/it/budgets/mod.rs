mod calls;
mod parallel;
mod sequences;
mod setting;

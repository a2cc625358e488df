//! No code. As a member of every build, it asks for the features that dependencies have in the largest build, so that a
//! build of the embedded server and one with the clients of servers share what they compile.

"""One institution's running program: all input and output."""


// The ES module: the code above and these exports.
const { Manager, Socket, protocol } = io;
export { io, io as connect, io as default, Manager, Socket, protocol };

// Show a setting, follow its changes, and set it from standard input.

const string COLOUR = "user:/sw/org/example/colour";
const string PREVIOUS = "user:/sw/org/example/previous";
const string CONFLICT = "org.libelektra.KDB1.Error.ConflictingState";

public struct Entry { public string name; public uint8[] value; public HashTable<string, string> metadata; }

[DBus (name = "org.libelektra.KDB1")]
interface Database : DBusProxy {
	public abstract uint64 revision { get; }
	public abstract string get_string (string name) throws Error;
	public abstract uint64 apply (Entry[] put, string[] remove, uint64 expected,
		HashTable<string, Variant> options) throws Error;
	public signal void committed (uint64 revision, string[] added, string[] changed, string[] removed, bool complete);
}

void show (Database db) {
	try {
		if (db.g_name_owner != null) print ("now %s\n", db.get_string (COLOUR));
	} catch (Error problem) { warning (problem.message); }
}

async void run () throws Error {
	Database db = yield Bus.get_proxy (BusType.SESSION, "org.libelektra.KDB1", "/org/libelektra/KDB1",
		DBusProxyFlags.DO_NOT_LOAD_PROPERTIES); // the revision is wanted as it is, not as it was signalled
	db.committed.connect ((revision, added, changed, removed, complete) => {
		if (!complete || COLOUR in added || COLOUR in changed) show (db);
	});
	db.notify["g-name-owner"].connect (() => show (db)); // no signal told what happened meanwhile
	var seen = db.revision; // before the colour: what changes between may be called a conflict
	var colour = db.get_string (COLOUR);
	print ("%s\n", colour);
	var typed = new DataInputStream (new UnixInputStream (0, false));
	var none = new HashTable<string, string> (str_hash, str_equal);
	for (string? line; (line = yield typed.read_line_async ()) != null;) {
		Entry[] keys = { { COLOUR, line.data, none }, { PREVIOUS, colour.data, none } };
		string told = "";
		try {
			db.apply (keys, {}, seen, new HashTable<string, Variant> (str_hash, str_equal));
		} catch (Error problem) {
			if (DBusError.get_remote_error (problem) != CONFLICT) throw problem;
			told = "conflict: it is %s by now; type again to overwrite it\n";
		}
		seen = db.revision;
		colour = db.get_string (COLOUR);
		print (told, colour);
	}
}

void main () {
	var loop = new MainLoop ();
	run.begin ((_, result) => {
		try { run.end (result); } catch (Error problem) { printerr ("%s\n", problem.message); Process.exit (1); }
		loop.quit ();
	});
	loop.run ();
}

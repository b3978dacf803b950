/* Show a setting, follow its changes, and set it from standard input. */
#include "kdb.h" /* made by gdbus-codegen */
#include <stdlib.h>

#define COLOUR "user:/sw/org/example/colour"
#define PREVIOUS "user:/sw/org/example/previous"
#define CONFLICT "org.libelektra.KDB1.Error.ConflictingState"
#define KEYS "[(%s, %@ay, @a{ss} {}), (%s, %@ay, {})]"
#define BYTES(text) g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, text, strlen (text), 1)
#define FAIL(error) (g_printerr ("%s\n", (error)->message), exit (1))

static char * colour; /* as it was read last, after GetAll told this revision of the database */
static guint64 seen;

static char * look (KdbKDB1 * db, guint64 * revision) { /* what changes between is a conflict, but never missed */
	g_autoptr (GError) error = NULL;
	char * value = NULL;
	if (revision && !kdb_kdb1_call_get_all_sync (db, COLOUR, "", 1, NULL, NULL, revision, NULL, &error)) FAIL (error);
	if (!kdb_kdb1_call_get_string_sync (db, COLOUR, &value, NULL, &error)) FAIL (error);
	return value;
}

static void on_committed (KdbKDB1 * db, guint64 revision, const char * const * added,
			  const char * const * changed, const char * const * removed, gboolean complete) {
	if (complete && !g_strv_contains (added, COLOUR) && !g_strv_contains (changed, COLOUR)) return;
	g_autofree char * now = look (db, NULL);
	g_print ("now %s\n", now);
}

static void on_owner (KdbKDB1 * db) {
	g_autofree char * owner = g_dbus_proxy_get_name_owner (G_DBUS_PROXY (db));
	if (owner) on_committed (db, 0, NULL, NULL, NULL, FALSE); /* no signal told what happened meanwhile */
}

static gboolean on_typed (GIOChannel * typed, GIOCondition condition, gpointer db) {
	const char * const nothing[] = { NULL };
	g_autoptr (GError) error = NULL;
	g_autofree char *wanted = NULL, *old = colour, *name = NULL;
	if (g_io_channel_read_line (typed, &wanted, NULL, NULL, NULL) != G_IO_STATUS_NORMAL) exit (0);
	GVariant * keys = g_variant_new_parsed (KEYS, COLOUR, BYTES (g_strstrip (wanted)), PREVIOUS, BYTES (old));
	kdb_kdb1_call_apply_sync (db, keys, nothing, seen, g_variant_new ("a{sv}", NULL), NULL, NULL, &error);
	if (error) name = g_dbus_error_get_remote_error (error);
	if (error && g_strcmp0 (name, CONFLICT) != 0) FAIL (error);
	colour = look (db, &seen);
	if (error) g_print ("conflict: it is %s by now; type again to overwrite it\n", colour);
	return G_SOURCE_CONTINUE;
}

int main (void) {
	g_autoptr (GError) error = NULL;
	KdbKDB1 * db = kdb_kdb1_proxy_new_for_bus_sync (G_BUS_TYPE_SESSION, G_DBUS_PROXY_FLAGS_NONE,
							"org.libelektra.KDB1", "/org/libelektra/KDB1", NULL, &error);
	if (error) FAIL (error);
	g_signal_connect (db, "committed", G_CALLBACK (on_committed), NULL);
	g_signal_connect (db, "notify::g-name-owner", G_CALLBACK (on_owner), NULL);
	g_print ("%s\n", colour = look (db, &seen));
	g_io_add_watch (g_io_channel_unix_new (0), G_IO_IN | G_IO_HUP, on_typed, db);
	g_main_loop_run (g_main_loop_new (NULL, FALSE));
}

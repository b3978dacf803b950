// Show a setting, follow its changes, and set it from standard input.
#include "kdb_qt.h" // made by qdbusxml2cpp
#include <QtCore>

const QString COLOUR = "user:/sw/org/example/colour";
const QString PREVIOUS = "user:/sw/org/example/previous";
const QString CONFLICT = "org.libelektra.KDB1.Error.ConflictingState";

[[noreturn]] static void fail (const QDBusError & error) {
	qCritical ("%s", qPrintable (error.message ()));
	exit (EXIT_FAILURE);
}

int main (int argc, char ** argv) {
	QCoreApplication app (argc, argv);
	QTextStream out (stdout);
	QFile typed;
	typed.open (0, QIODevice::ReadOnly | QIODevice::Unbuffered);
	qDBusRegisterMetaType<KdbMetadata> ();
	qDBusRegisterMetaType<KdbEntry> ();
	qDBusRegisterMetaType<QList<KdbEntry>> ();

	OrgLibelektraKDB1Interface db ("org.libelektra.KDB1", "/org/libelektra/KDB1", QDBusConnection::sessionBus ());
	const auto look = [&db] () -> QString {
		auto reply = db.GetString (COLOUR);
		reply.waitForFinished ();
		if (reply.isError ()) fail (reply.error ());
		return reply.value ();
	};
	const auto show = [&] { out << "now " << look () << Qt::endl; };
	QObject::connect (&db, &OrgLibelektraKDB1Interface::Committed,
			  [&] (qulonglong, const QStringList & added, const QStringList & changed, const QStringList &, bool complete) {
				  if (!complete || added.contains (COLOUR) || changed.contains (COLOUR)) show ();
			  });
	QDBusServiceWatcher watcher (db.service (), db.connection (), QDBusServiceWatcher::WatchForRegistration);
	QObject::connect (&watcher, &QDBusServiceWatcher::serviceRegistered, show); // no signal told what happened meanwhile

	qulonglong seen = db.revision (); // before the colour: what changes between may be called a conflict
	QString colour = look ();
	out << colour << Qt::endl;
	QSocketNotifier notifier (0, QSocketNotifier::Read);
	QObject::connect (&notifier, &QSocketNotifier::activated, [&] {
		const QByteArray line = typed.readLine ();
		if (line.isEmpty ()) return app.quit ();
		auto reply = db.Apply ({ { COLOUR, line.trimmed (), {} }, { PREVIOUS, colour.toUtf8 (), {} } }, {}, seen, {});
		reply.waitForFinished ();
		if (reply.isError () && reply.error ().name () != CONFLICT) fail (reply.error ());
		seen = db.revision ();
		colour = look ();
		if (reply.isError ()) out << "conflict: it is " << colour << " by now; type again to overwrite it" << Qt::endl;
	});
	return app.exec ();
}

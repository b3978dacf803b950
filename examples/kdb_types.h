// The structs of org.libelektra.KDB1, named as in its annotations, for QtDBus.
#pragma once
#include <QtDBus>
#include <tuple>

using KdbMetadata = QMap<QString, QString>;
using KdbEntry = std::tuple<QString, QByteArray, KdbMetadata>;           // name, value, metadata
using KdbKey = std::tuple<QString, QByteArray, KdbMetadata, qulonglong>; // and revision
using KdbChange = std::tuple<qulonglong, QString, QString>;              // revision, kind, name
using KdbMount = std::tuple<QString, QString, KdbMetadata>; // mountpoint, path, options
Q_DECLARE_METATYPE (KdbMetadata)
Q_DECLARE_METATYPE (KdbEntry)
Q_DECLARE_METATYPE (KdbKey)
Q_DECLARE_METATYPE (KdbChange)
Q_DECLARE_METATYPE (KdbMount)

template <typename... Fields> QDBusArgument & operator<< (QDBusArgument & out, const std::tuple<Fields...> & value)
{
	out.beginStructure ();
	std::apply ([&out] (const auto &... fields) { (out << ... << fields); }, value);
	out.endStructure ();
	return out;
}

template <typename... Fields> const QDBusArgument & operator>> (const QDBusArgument & in, std::tuple<Fields...> & value)
{
	in.beginStructure ();
	std::apply ([&in] (auto &... fields) { (in >> ... >> fields); }, value);
	in.endStructure ();
	return in;
}

import io.trino.plugin.hive.HivePlugin;
import io.trino.testing.StandaloneQueryRunner;
import io.trino.testing.TestingSession;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// Trino with one catalog, `awsdatacatalog`, whose tables are files in folders, as Athena's are on S3.
/// Arguments: the port, the folder of the metastore, `--until-eof` if the engine shall end with its standard
/// input, and `--s3 ENDPOINT` if tables may be on S3. Keys for S3 are in the environment, as the AWS SDK reads them.
class AthenaEngine {
    static final String CATALOG = "awsdatacatalog";

    public static void main(String[] args) throws Exception {
        // The server turns System.out into log lines.
        var answers = System.out;
        var port = args[0];
        var session = TestingSession.testSessionBuilder().setCatalog(CATALOG).build();
        var engine = new StandaloneQueryRunner(
                session, server -> server.addProperty("http-server.http.port", port));
        engine.installPlugin(new HivePlugin());
        engine.createCatalog(CATALOG, "hive", settings(List.of(args)));
        answers.println("listening " + engine.getCoordinator().getBaseUrl());
        if (List.of(args).contains("--until-eof")) {
            while (System.in.read() >= 0) {}
            System.exit(0);
        }
    }

    static Map<String, String> settings(List<String> args) {
        var settings = new HashMap<String, String>();
        // Any folder of this machine may hold a table.
        settings.put("fs.native-local.enabled", "true");
        settings.put("local.location", "/");
        settings.put("hive.metastore", "file");
        settings.put("hive.metastore.catalog.dir", "local://" + args.get(1));
        settings.put("hive.security", "allow-all");
        settings.put("hive.non-managed-table-writes-enabled", "true");
        settings.put("hive.partition-projection-enabled", "true");
        // S3 has no empty folders, so a projected day without files is not an error.
        settings.put("hive.ignore-absent-partitions", "true");
        // The metastore does not know projected partitions, and fails if it is asked for their statistics.
        settings.put("hive.table-statistics-enabled", "false");
        var s3 = args.indexOf("--s3");
        if (s3 >= 0) {
            settings.put("fs.native-s3.enabled", "true");
            settings.put("s3.endpoint", args.get(s3 + 1));
            settings.put("s3.region", "us-east-1");
            settings.put("s3.path-style-access", "true");
        }
        return settings;
    }
}

import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.List;

/**
 * No MongoDB: an imitation that keeps everything in memory, for tests on machines where no MongoDB can be had. It listens
 * on 127.0.0.1 and prints "ready" and its process's id.
 *
 * Arguments: the port; then, for TLS, a PKCS12 file with the key "server" and the password "secret".
 */
public class MongoStandIn {
    public static void main(String[] args) throws Exception {
        MemoryBackend backend = new MemoryBackend();
        backend.version(new Newer());
        MongoServer server = new MongoServer(backend);
        if (args.length > 1) {
            encrypt(server, args[1]);
        }
        server.bind("127.0.0.1", Integer.parseInt(args[0]));
        System.out.println("ready " + ProcessHandle.current().pid());
        System.out.flush();
        Thread.currentThread().join();
    }

    private static void encrypt(MongoServer server, String file) throws Exception {
        char[] password = "secret".toCharArray();
        KeyStore keys = KeyStore.getInstance("PKCS12");
        try (FileInputStream in = new FileInputStream(file)) {
            keys.load(in, password);
        }
        PrivateKey key = (PrivateKey) keys.getKey("server", password);
        server.enableSsl(key, null, (X509Certificate) keys.getCertificate("server"));
    }

    /** The library calls itself older than the driver takes. What the tests use is the same in both. */
    private static class Newer implements MongoVersion {
        @Override
        public List<Integer> getVersionArray() {
            return List.of(5, 0, 0);
        }

        @Override
        public int getWireVersion() {
            return 13;
        }
    }
}

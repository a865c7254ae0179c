// A web client at Firestore itself, with the official package and a user's own ID token. Prints one JSON object: what
// each attempt came to, "ok" or the package's error code.
import { initializeApp } from "@firebase/app";
import {
  collection, connectFirestoreEmulator, deleteDoc, doc, getDoc, getDocs, getFirestore, limit, query, setDoc,
  setLogLevel, terminate, where,
} from "@firebase/firestore";

const [host, port, project, token, account, job] = process.argv.slice(2);
setLogLevel("silent");
const db = getFirestore(initializeApp({ projectId: project, apiKey: "local" }));
connectFirestoreEmulator(db, host, Number(port), { mockUserToken: token });

const own = (name) => query(collection(db, name), where("account", "==", account), limit(20));
const attempts = {
  "overwrite a job": () => setDoc(doc(db, "jobs", job), { x: 1 }),
  "make a job": () => setDoc(doc(db, "jobs", "video_made_up"), { account }),
  "delete a job": () => deleteDoc(doc(db, "jobs", job)),
  "read a job": () => getDoc(doc(db, "jobs", job)),
  "list jobs": () => getDocs(own("jobs")),
  "raise the balance": () => setDoc(doc(db, "accounts", account), { balance: 1e9 }, { merge: true }),
  "read the settings": () => getDoc(doc(db, "config", "video")),
  "list without a limit": () => getDocs(query(collection(db, "credit_transactions"), where("account", "==", account))),
  "list everybody's entries": () => getDocs(query(collection(db, "credit_transactions"), limit(20))),
  "read the account": () => getDoc(doc(db, "accounts", account)),
  "list the ledger": () => getDocs(own("credit_transactions")),
};
const results = {};
for (const [name, attempt] of Object.entries(attempts)) {
  results[name] = await attempt().then(() => "ok", (error) => error.code);
}
console.log(JSON.stringify(results));
await terminate(db);
process.exit(0);

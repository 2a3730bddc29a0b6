/* Shows what the server refused at the fields as well. */
import { pointOut } from "./fields.js";

pointOut();
